"""Tests of deploy/ci.sh: the key for one command, the login for one registry, and the clean end of a cancelled job."""

import os
import re
import signal
import sys

import pytest

from proc import ROOT, executable, put, run, running, wait_until

SCRIPT = ROOT / "deploy/ci.sh"
KEY = "-----BEGIN KEY-----\nabc\n-----END KEY-----"
# A stand-in for Python: a deployer that takes its release back after TERM.
TAKES_BACK = """#!{}
import signal, sys, time
def back(*_):
    print("taken back", flush=True)
    sys.exit(1)
signal.signal(signal.SIGTERM, back)
print("deploying", *sys.argv[1:], flush=True)
time.sleep(300)
"""


@pytest.fixture
def ci(shell, tmp_path, monkeypatch):
    """Return a function that runs ci.sh with these words and variables. Temporary files are in a path with a space."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    for name in ("DEPLOY_KEY", "KNOWN_HOSTS", "REGISTRY_LOGIN", "SSH_CONFIG", "IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(folder))

    def call(*words, **env):
        done = run([*shell, SCRIPT, *words], env={**os.environ, **env}, timeout=60)
        assert list(folder.iterdir()) == [], "something is left behind"
        return done

    return call


@pytest.mark.parametrize("given", ["text", "files"])
def test_the_command_has_key_and_hosts(ci, tmp_path, given):
    """ssh gets the key, from text or file, with mode 0600, and accepts only known hosts. The environment has no key."""
    values = {"DEPLOY_KEY": KEY, "KNOWN_HOSTS": "web1 ssh-ed25519 AAAA"}
    if given == "files":
        for name, value in values.items():
            (tmp_path / name).write_text(value + "\r\n")
            values[name] = str(tmp_path / name)
    look = 'cat "${SSH_CONFIG%/*}/key"; ls -l "${SSH_CONFIG%/*}/key"; env; ssh -F "$SSH_CONFIG" -G web1'
    done = ci("sh", "-c", look, **values)
    assert done.returncode == 0 and done.stdout.startswith(KEY + "\n-rw-------"), done.stdout + done.stderr
    assert "DEPLOY_KEY=" not in done.stdout and "stricthostkeychecking true" in done.stdout
    assert "temporary files" in next(line for line in done.stdout.splitlines() if line.startswith("userknownhosts"))


def test_the_projects_own_ssh_config_is_kept(ci, tmp_path):
    """An existing SSH_CONFIG, for example with a jump host, is included in the new one."""
    (tmp_path / "own").write_text("Host web1\nProxyJump front\n")
    done = ci("sh", "-c", 'ssh -F "$SSH_CONFIG" -G web1', DEPLOY_KEY=KEY, KNOWN_HOSTS="x", SSH_CONFIG=tmp_path / "own")
    assert "proxyjump front" in done.stdout and "identitiesonly yes" in done.stdout, done.stderr


def test_without_a_key_the_machine_s_own_is_used(ci):
    """Without DEPLOY_KEY the command runs unchanged and its exit code is kept. A key without known hosts is refused."""
    assert ci("sh", "-c", "exit 4").returncode == 4
    assert ci("sh", "-c", "echo ${SSH_CONFIG-none}").stdout == "none\n"
    done = ci("echo", "ran", DEPLOY_KEY=KEY)
    assert (done.returncode, done.stdout) == (2, "") and "KNOWN_HOSTS is not set" in done.stderr


def test_an_older_push_does_not_overtake_a_newer_one(ci, tmp_path, monkeypatch):
    """Nothing runs if the branch NEWEST_OF has a newer commit than the checkout, or cannot be read."""
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com"]
    commit = [*git, "-C", "origin", "commit", "-q", "--allow-empty", "-m", "One"]
    monkeypatch.chdir(tmp_path)
    for words in ([*git, "init", "-q", "-b", "main", "origin"], commit, [*git, "clone", "-q", "origin", "clone"]):
        assert run(words).returncode == 0
    monkeypatch.chdir("clone")
    assert ci("echo", "ran", NEWEST_OF="main").stdout == "ran\n"
    assert run(commit, cwd=tmp_path).returncode == 0
    done = ci("echo", "ran", NEWEST_OF="main")
    assert (done.returncode, done.stdout) == (2, "") and "main has a newer commit" in done.stderr
    assert ci("echo", "ran").stdout == "ran\n"
    done = ci("echo", "ran", NEWEST_OF="lost")
    assert (done.returncode, done.stdout) == (2, "") and "cannot read the branch lost of origin" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_cancelled_job_takes_back(shell, tmp_path, number):
    """A signal to only the first process reaches the deployer, through make, too, and the job waits for its end."""
    deployer = executable(tmp_path / "python3", TAKES_BACK.format(os.path.realpath(sys.executable)))
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    by_make = ["make", "deploy", "TAG=build-1", f"PYTHON={deployer}"]
    for words, code in ((["slipway", "deploy", "build-1"], 1), (by_make, 128 + signal.SIGTERM)):
        with running([*shell, SCRIPT, *words], cwd=ROOT, env=env) as job:
            wait_until(lambda: "deploying -B -m slipway deploy build-1" in job.output())
            job.send_signal(number)
            assert job.wait(30) == code, job.output()
            assert "taken back" in job.output()


def test_the_package_is_taken_from_vendor(ci, tmp_path, monkeypatch):
    """`slipway` needs no virtualenv: it is the wheel in vendor/, or the source."""
    executable(tmp_path / "python3", '#!/bin/sh\necho "$PYTHONPATH: $*"\n')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert ci("slipway", "status").stdout == ".: -B -m slipway status\n"
    wheel = "vendor/slipway_django-1.0.0-py3-none-any.whl"
    put(tmp_path / wheel)
    assert ci("slipway", "logs", "-f").stdout == f"{wheel}: -B -m slipway logs -f\n"


DOCKER = """#!/bin/sh
echo "docker $*" >>{calls}
case $1 in
    context) [ "$DOCKER_CONFIG" = {own} ] && [ -n "$ENDPOINT" ] && echo "$ENDPOINT" ;;
    login) cat >"$DOCKER_CONFIG/config.json"; echo "$(cat "$DOCKER_CONFIG/config.json")" >>{calls} ;;
    push) ls "$DOCKER_CONFIG" >>{calls}; env | grep -E '^(REGISTRY_LOGIN|DOCKER_HOST)=' >>{calls}
        sleep {slow}; exit {code} ;;
    image) echo '[{{}}]' ;;
esac
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Return docker(code, slow): it puts a stand-in with that exit code into PATH, and returns its file of calls."""
    calls = tmp_path / "calls"

    def put(code=0, slow=0):
        own = tmp_path / "own"
        stub = executable(tmp_path / "bin/docker", DOCKER.format(calls=calls, own=own, code=code, slow=slow))
        monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
        monkeypatch.setenv("DOCKER_CONFIG", str(own))
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        return calls

    return put


def recorded(calls):
    """Return the recorded calls except queries, each with its input."""
    return [
        line for line in calls.read_text().splitlines() if not re.match("docker (image|version|info|context)", line)
    ]


PUSH = {"REGISTRY_LOGIN": "ann:pass:word", "TAG": "build-1"}


@pytest.mark.parametrize(
    "image, registry, code",
    [("ghcr.io/acme/shop", "ghcr.io", 0), ("localhost:5000/shop", "localhost:5000", 1), ("acme/shop", "", 0)],
)
def test_push_is_logged_in_for_its_time_alone(ci, docker, tmp_path, image, registry, code):
    """Docker is logged in at the image's registry, by stdin, in a configuration that is removed after the push, even a
    failed one. A login of the machine stays."""
    calls = docker(code)
    done = ci("push", IMAGE=image, **PUSH)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    assert recorded(calls) == [
        f"docker login --username ann --password-stdin {registry}".rstrip(),
        "pass:word",
        f"docker push {image}:build-1",
        "config.json",
        f"docker logout {registry}".rstrip(),
    ]
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    "env, host",
    [
        ({"ENDPOINT": "unix:///run/user/1000/docker.sock"}, ["DOCKER_HOST=unix:///run/user/1000/docker.sock"]),
        ({"ENDPOINT": "unix:///other.sock", "DOCKER_HOST": "ssh://box"}, ["DOCKER_HOST=ssh://box"]),
        ({}, []),
    ],
)
def test_push_goes_to_the_engine_in_use(ci, docker, env, host):
    """The engine is that of the machine's Docker configuration, perhaps a rootless one, or else DOCKER_HOST's."""
    calls = docker()
    done = ci("push", IMAGE="acme/shop", **PUSH, **env)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [line for line in recorded(calls) if line.startswith("DOCKER_HOST")] == host


def test_a_cancelled_push_logs_out(shell, docker, tmp_path, monkeypatch):
    """A push that is cancelled while it runs logs out too."""
    calls, folder = docker(slow=60), tmp_path / "temporary"
    folder.mkdir()
    env = {**os.environ, "TMPDIR": str(folder), "IMAGE": "ghcr.io/acme/shop", **PUSH}
    with running([*shell, SCRIPT, "push"], cwd=ROOT, env=env) as job:
        wait_until(lambda: calls.exists() and "config.json" in calls.read_text())
        job.send_signal(signal.SIGTERM)
        assert job.wait(30)
    assert recorded(calls)[-1] == "docker logout ghcr.io" and not list(folder.iterdir())


@pytest.mark.parametrize(
    "env, code, message",
    [
        ({"IMAGE": "x/y"}, 0, "push without a login"),
        ({"IMAGE": "x/y", "REGISTRY_LOGIN": "token"}, 2, "user:password"),
        ({"REGISTRY_LOGIN": "a:b"}, 2, "IMAGE is not set"),
    ],
)
def test_nothing_to_log_in_with(ci, docker, env, code, message):
    """A missing login is fine. A malformed login, or one without IMAGE, is refused."""
    calls = docker()
    done = ci("push", TAG="build-1", **env)
    assert done.returncode == code and message in done.stderr
    assert calls.exists() == (code == 0) and (code or "docker login" not in calls.read_text())
