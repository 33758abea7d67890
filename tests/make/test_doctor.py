"""make doctor: what this machine lacks for what, with the cure, and the exit code that says whether one can develop."""

import os
import re
import shutil
import sys
from dataclasses import replace

import pytest

from proc import ROOT, free_port, run

sys.path.insert(0, str(ROOT / "make"))
import doctor  # noqa: E402
from doctor_look import Host, Machine, host  # noqa: E402
from doctor_pins import stale, versions_of  # noqa: E402

BASE_PYTHON = os.path.realpath(sys.executable)
GB = 1024 ** 3
ENV = {"PYTHON": "python3", "PYTHON_MIN": "3.11", "MAKE_VERSION": "4.3"}
WELL = Machine(python=(3, 13, 1), free=9 * GB, hosts=(Host("web1", "web1"),))


def found(given=(), /, **facts):
    """What is found where all is well but for these facts."""
    machine = replace(WELL, **facts)
    return [finding for look_at in (doctor.develop, doctor.build, doctor.ship)
            for finding in look_at(machine, {**ENV, **dict(given)})]


def test_where_nothing_is_lacking():
    """Nothing is said but what this machine is ready for."""
    assert found() == [] and doctor.verdict([]) == "ready for: develop, build, ship"


@pytest.mark.parametrize("facts, purpose, text, cure", [
    ({"python": (3, 9, 2)}, "develop", "python3 is Python 3.9.2, and this project needs 3.11", "install one"),
    ({"python": (3, 9, 2), "pythons": ("python3.12",)}, "develop", "3.9.2", "make PYTHON=python3.12"),
    ({"venv": False}, "develop", "lacks the venv module", "apt install python3.13-venv"),
    ({"free": GB // 4}, "develop", "0.2 GB are free in this folder", "free 500 MB"),
    ({"env": (".env line 3: not KEY=value",)}, "develop", ".env line 3: not KEY=value", "correct it"),
    ({"git": False}, "build", "no git", "apt install git"),
    ({"docker": False, "compose": False, "buildx": False}, "build", "no docker", "https://docs.docker.com"),
    ({"engine": "denied"}, "build", "may not use Docker", "usermod -aG docker"),
    ({"engine": "silent"}, "build", "no Docker engine answers", "systemctl start docker"),
    ({"docker_free": GB}, "build", "1.0 GB are free in Docker's folder", "docker system prune"),
    ({"ssh": False, "agent_has_key": False}, "ship", "no ssh here", "apt install openssh-client"),
    ({"agent_has_key": False}, "ship", "no ssh-agent with a key", "ssh-add"),
    ({"fleet": "deploy/production.toml names no hosts"}, "ship", "names no hosts", "name your servers"),
    ({"fleet": "deploy/production.toml is not TOML: Oh (at line 1)"}, "ship", "is not TOML: Oh", "correct it"),
    ({"hosts": (Host("web1", "web1", False, False),)}, "ship", "web1 is not found", "correct its address"),
    ({"hosts": (Host("web1", "[a]:7", known=False),)}, "ship", "known_hosts lacks [a]:7", "ssh web1 once")])
def test_what_hinders(facts, purpose, text, cure):
    """One line for each cause, and not for what only follows from it."""
    findings = [finding for finding in found(**facts) if finding.purpose == purpose]
    assert len(findings) == 1 and text in findings[0].text and cure in findings[0].cure, findings
    assert doctor.hindered(findings) == [purpose]


@pytest.mark.parametrize("facts, text", [
    ({"buildx": False}, "classic builder builds"), ({"compose": False}, "make up needs"),
    ({"pins": {"a.in": ("django", "")}}, "a.in asks for django, which is not pinned"),
    ({"agent_has_key": False, "hosts": (Host("a", "a", identities=("/k",)),)}, "keys with a passphrase need")])
def test_what_is_only_noted(facts, text):
    """What one can do without is told, and hinders nothing."""
    findings = found(**facts)
    assert len(findings) == 1 and text in findings[0].text and doctor.hindered(findings) == []


def test_a_builder_that_is_asked_for_and_not_there_hinders():
    """Docker then builds nothing."""
    assert doctor.hindered(found({"DOCKER_BUILDKIT": "1"}, buildx=False)) == ["build"]


def test_an_old_make_hinders():
    """GNU Make 3.81 is the oldest."""
    assert [doctor.hindered(found({"MAKE_VERSION": version})) for version in ("3.80", "3.81", "4.4.1")] == [
        ["develop"], [], []]


PINS = """django==5.2.1 \\
    --hash=sha256:aa \\
    # via
    #   -r requirements.in
    #   django-axes
django-axes==8.0 ; python_version >= "3.9" \\
    --hash=sha256:bb
    # via -r requirements.in
asgiref==3.8.1
    # via django
"""


@pytest.mark.parametrize("asked, told", [
    ("django\nDjango_Axes[ipware]>=8  # sign-in\n", []), ("django>=5.2,<5.3\ndjango.axes\n", []),
    ("django==5.2.1\ndjango-axes==8\n-c other.txt\n\n# celery\n", []), ("django~=5.2\ndjango-axes!=7\n", []),
    ("django\ndjango-axes\nwindows-curses ; sys_platform == 'win32'\n", []),
    ("django\n", ["requirements.in no longer asks for django-axes, which is pinned"]),
    ("django\ndjango-axes\ncelery[redis]\n", ["requirements.in asks for celery, which is not pinned"]),
    ("django\ndjango-axes\nacme @ git+https://host.example/acme\nhttps://host.example/other.whl\n", []),
    ("django>=6.0,<6.1\ndjango-axes\n", ["requirements.in asks for django>=6.0,<6.1, and 5.2.1 is pinned"])])
def test_stale_pins(asked, told):
    """What was edited and not compiled."""
    assert list(stale(asked, PINS, "requirements.in")) == told


def test_what_is_pinned():
    """By the package's name, whatever its case, dashes and extras there; no comment, marker or option is a pin."""
    text = "A_b==1 \\\n    --hash=x\n# c==1\nd.e == 2 ; f=='1'\n-r g==1\nh[i,j]==3\n"
    assert versions_of(text) == {"a-b": "1", "d-e": "2", "h": "3"}


def test_our_own_pins_are_not_stale():
    """None of this project's, which make pins compiles anew to see."""
    for path in [ROOT / "requirements.in", *ROOT.glob("requirements/*.in")]:
        assert list(stale(path.read_text(), path.with_suffix(".txt").read_text(), str(path.relative_to(ROOT)))) == []


@pytest.fixture
def machine(project, tmp_path, monkeypatch):
    """A copy of the project without virtualenv, and a PATH that has only what make itself needs; `machine(words)`
    runs make doctor there, `machine.has(name, text)` adds a program: this machine's, or a script."""
    (project / "ve").unlink()
    programs = tmp_path / "programs"
    programs.mkdir()

    def has(name, text=None):
        if text is None:
            (programs / name).symlink_to(shutil.which(name))
        else:
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)

    def doctor(*words, **env):
        env = {"PATH": str(programs), "HOME": str(tmp_path), **env}
        done = run(["make", "-s", "-C", project, "doctor", *words], env=env)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    for name in ("make", "sh", "sed", "env", "grep", "false"):
        has(name)
    (programs / "python3").symlink_to(BASE_PYTHON)
    doctor.has, doctor.programs, doctor.folder, doctor.home = has, programs, project, tmp_path
    return doctor


def test_a_bare_machine(machine):
    """With Python and make alone one can develop; each lack is a line that begins with what it is for. The checkout is
    as before."""
    before = sorted(machine.folder.rglob("*"))
    done = machine()
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "ready for: develop; not ready for: build, ship", done.stderr
    assert [re.match(r"(\w+) +no (\w+) here.*: .", line).groups() for line in lines[:-1]] == [
        ("build", "git"), ("build", "docker"), ("ship", "ssh")]
    assert sorted(machine.folder.rglob("*")) == before


def test_no_python(machine):
    """Without python3, or with one too old to be asked, one line says what to install."""
    (machine.programs / "python3").unlink()
    assert machine().stderr.startswith("make: no python3 here: install Python 3.11 or newer")
    machine.has("python3", "exit 1")
    done = machine()
    said = "make: python3 is older than Python 3.9: install Python 3.11"
    assert done.returncode == 2 and done.stderr.startswith(said)


@pytest.mark.parametrize("words, text", [
    (["PYTHON_MIN=3.99"], "needs 3.99 or newer"), ([], ".env line 1: not KEY=value")])
def test_what_keeps_one_from_developing_fails(machine, words, text):
    """The exit code says so, and all else is still told."""
    (machine.folder / ".env").write_text("" if words else "nonsense\n")
    done = machine(*words)
    assert done.returncode == 2 and text in done.stdout and "build    no git" in done.stdout
    assert done.stdout.endswith("\nnot ready for: develop, build, ship\n")


def test_stale_pins_are_noted(machine):
    """After an edit of an .in file, which make requirements has not seen."""
    with open(machine.folder / "requirements/dev.in", "a") as file:
        file.write("coverage\n")
    told = "develop  note: requirements/dev.in asks for coverage, which is not pinned: make requirements"
    assert told in machine().stdout


TOML, PROCFILE, COMPOSE = "deploy/production.toml", "make/Procfile.dev", "compose.yaml"
BEAT = f"and no host of {TOML} has the role beat: give it to one, or take beat out if it is not for this machine alone"
ALERTS = f"does not run alerts, which hosts of {TOML} do: add it, see docs/processes.md"


def differences(machine, *words):
    """What is told of processes; make doctor succeeds all the same."""
    done = machine(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return [re.sub(" +", " ", line) for line in done.stdout.splitlines() if " runs " in line or " not run " in line]


def test_processes_that_servers_have_and_this_machine_has_not(machine):
    """And the other way round: a line for each file and process. Once all run the same nothing is told; nor is it of
    what else Procfile.dev and compose.yaml run."""
    assert differences(machine) == []
    path = machine.folder / TOML
    path.write_text(path.read_text().replace('["worker", "beat"]', '["worker", "alerts"]')
                    + '[process.alerts]\ncommand = "manage sendalerts"\n')
    assert differences(machine) == [
        f"develop note: {PROCFILE} {ALERTS}", f"develop note: {PROCFILE} runs beat, {BEAT}",
        f"build note: {COMPOSE} {ALERTS}", f"build note: {COMPOSE} runs beat, {BEAT}"]
    for name, old, new in (
            (PROCFILE, "\nbeat: .*", "\nalerts: exec $VE/bin/python manage.py sendalerts\nstyles: npm run watch"),
            (COMPOSE, "\n  beat:\n.*\n.*\n", "\n  alerts: {<<: *app, command: manage sendalerts}\n"
                                             "\n  mail:\n    image: mailpit\n    command: beat\n")):
        text, changed = re.subn(old, lambda match: new, (machine.folder / name).read_text())
        (machine.folder / name).write_text(text)
        assert changed == 1
    assert differences(machine) == []


def test_processes_where_there_is_nothing_to_compare(machine):
    """Without servers yet, with servers that variables name, with a compose file of the team's own, with neither
    file: nothing is told, and nothing fails for it."""
    path = machine.folder / TOML
    text = path.read_text().replace('["worker", "beat"]', '["worker"]')
    path.write_text(text)
    assert len(differences(machine)) == 2 and differences(machine, "ENV=none") == []
    assert differences(machine, "PROCFILE=none") == [f"build note: {COMPOSE} runs beat, {BEAT}"]
    assert "runs beat" not in machine(HOSTS="127.0.0.1").stdout
    (machine.folder / "compose.slipway.yaml").write_text((machine.folder / COMPOSE).read_text())
    (machine.folder / COMPOSE).write_text("services:\n  beat:\n    build: .\n    command: beat\n")
    assert differences(machine, "PROCFILE=none") == [f"build note: compose.slipway.yaml runs beat, {BEAT}"]
    (machine.folder / "compose.slipway.yaml").unlink()
    (machine.folder / PROCFILE).unlink()
    assert differences(machine) == []
    for text in ("hosts = 1", "[[", "[hosts.web1]\nroles = 3\n"):
        path.write_text(text)
        assert differences(machine) == []


DOCKER = 'case "$1" in version) exit {version};; buildx|compose) exit {plugins};; info) echo /;; esac'


def test_docker(machine):
    """An engine that does not answer, one without plugins, and one that has all."""
    machine.has("git")
    machine.has("docker", DOCKER.format(version=1, plugins=1))
    remote = {"DOCKER_HOST": "tcp://127.0.0.1:1"}  # whoever may use this machine's own
    assert "no Docker engine answers" in machine(**remote).stdout
    machine.has("docker", DOCKER.format(version=0, plugins=1))
    said = machine(**remote).stdout
    assert "note: no buildx" in said and "note: no Docker Compose" in said and "develop, build; " in said
    assert "no buildx here, so the classic builder is needed" in machine(DOCKER_BUILDKIT="1", **remote).stdout
    machine.has("docker", DOCKER.format(version=0, plugins=0))
    assert "build " not in machine(**remote).stdout


def test_servers(machine):
    """Hosts that are not found or not known, by ssh's own settings; then one that is, and a key in the agent."""
    for name in ("ssh", "ssh-add", "ssh-keygen"):
        machine.has(name)
    known, config = machine.home / "known_hosts", machine.home / "config"
    config.write_text(f"Host web1.example\n  HostName 127.0.0.1\n  Port {free_port()}\n"
                      f"Host web1.example work1.example\n  UserKnownHostsFile {known}\n  GlobalKnownHostsFile none\n"
                      "Host work1.example\n  ProxyJump front\n")
    said = machine(SSH_CONFIG=str(config)).stdout
    assert "ship     known_hosts lacks [127.0.0.1]:" in said and "ship     known_hosts lacks work1.example:" in said
    assert "ship     web2.example is not found" in said and "no ssh-agent with a key" in said
    at = re.search(r"lacks (\[\S+):", said)[1]
    known.write_text(f"{at},work1.example ssh-ed25519 AAAA\n")
    key = machine.home / "key"
    assert run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]).returncode == 0
    line = f'eval "$(ssh-agent)" && ssh-add -q {key} && PATH={machine.programs} make -s doctor; ssh-agent -k'
    done = run(["sh", "-c", line], cwd=machine.folder, env={**os.environ, "SSH_CONFIG": str(config),
                                                            "HOSTS": "web1.example work1.example"})
    assert "not ready for: build" in done.stdout and "ship  " not in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("port, known, lacks", [
    ("22", "web1.example", ""), ("22", "[web1.example]:22", "web1.example"), ("7", "[web1.example]:7", ""),
    ("7", "web1.example", ""), ("7", "[web1.example]:8", "[web1.example]:7"), ("7\n  HostKeyAlias one", "one", "")])
def test_a_key_by_its_port(tmp_path, port, known, lacks):
    """A key counts where ssh itself would take it: on port 22 by the name alone, on another by name and port or by the
    name alone, by an alias alone."""
    (tmp_path / "known").write_text(f"{known} ssh-ed25519 AAAA\n")
    (tmp_path / "config").write_text(f"Host web1.example\n  UserKnownHostsFile {tmp_path}/known\n"
                                     f"  GlobalKnownHostsFile none\n  ProxyJump front\n  Port {port}\n")
    server = host("web1.example", ["-F", str(tmp_path / "config")])
    assert ("" if server.known else server.at) == lacks


@pytest.mark.parametrize("text, told", [
    (None, "deploy/production.toml: No such file"), ("hosts = 1", "production.toml names no hosts"),
    ('registry = "ssh"\n[registry]\n', "production.toml is not TOML: Cannot overwrite a value (at line 2, ")])
def test_a_fleet_that_cannot_be_read(machine, text, told):
    """Is told in a line."""
    machine.has("ssh")
    path = machine.folder / "deploy/production.toml"
    path.unlink() if text is None else path.write_text(text)
    assert told in machine().stdout
