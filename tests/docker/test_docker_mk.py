"""docker.mk without a Docker: what it says when one is missing, and when the wheelhouse is made anew."""

import os
import shutil
import socket

import pytest

from proc import ROOT, as_mortal, run

WHEELS_FROM = ("make/make_wheelhouse.py", "docker/packages.txt", "requirements.txt", "requirements/dev.txt")
FILES = ("docker.mk", "make/ve.mk", "manage.py", *WHEELS_FROM)
# A docker that answers, whose builder makes a wheelhouse of one file, and whose images have verdicts.
STUB = """#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
    image) echo "${REVISION-}" ;;
    create) [ -z "${FAIL-}" ] || exit 1; echo one ;;
    cp) [ "$2" = one:/app/migrations.json ] && echo "$VERDICTS" >"$3" ;;
    run) [ -z "${FAIL-}" ] || exit 7; mkdir -p house && touch house/requirements.txt && tar -cf - -C house . ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """The files that docker.mk needs, alone, in a path with a space."""
    folder = tmp_path / "a project"
    folder.mkdir()
    for file in (*FILES, "Dockerfile", "make/template.mk"):
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    stub = folder / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return folder


def make(project, *words, **env):
    env = {**os.environ, "CALLS": str(project / "calls"), **env}
    return run(["make", "-f", "docker.mk", *words], cwd=project, env=env)


def calls(project):
    """How often the builder was run since the last time."""
    path = project / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return sum(line.startswith("run ") for line in lines)


def error(done):
    """The line of ours that says what is wrong; make's own follows."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("target", ["wheelhouse", "push", "image-test"])
def test_no_docker(project, target):
    """Without Docker each target says in one line what to install."""
    words = ["-f", "make/template.mk", target, "-o", "ve/sentinel-dev", "DOCKER=no-such-docker", "TAG=1"]
    assert "install Docker" in error(make(project, *words))


def test_no_engine(project):
    """Where no engine answers, one line says to start it; where its socket is not for this user, how to be let in."""
    (project / "stub").write_text("#!/bin/sh\nexit 1\n")
    assert "start it" in error(make(project, "build", "DOCKER=./stub", DOCKER_HOST="tcp://127.0.0.1:9"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(project / "s"))
        (project / "s").chmod(0)
        command = as_mortal(["make", "-f", "docker.mk", "build", "DOCKER=./stub", f"socket={project / 's'}"])
        assert "usermod -aG docker" in error(run(command, cwd=project, env={**os.environ, "CALLS": "calls"}))


def test_wheelhouse_holds(project):
    """The wheelhouse is made once: neither a second make nor a touched file makes it anew, nor asks for Docker. Other
    pins or packages, a new way to make wheels or another base need another; what the old one held goes."""
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0
    assert calls(project) == 1
    for file in FILES:
        os.utime(project / file)
    assert make(project, "wheelhouse", "DOCKER=no-such-docker").returncode == 0
    for file in WHEELS_FROM:
        (project / "wheelhouse/old.whl").touch()
        with (project / file).open("a") as changed:
            changed.write("# changed\n")
        assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0
        assert calls(project) == 1 and not (project / "wheelhouse/old.whl").exists(), file
    for words in (["BASE=debian:forky-slim"], ["BASE=debian:forky-slim", "PLATFORM=linux/arm64"]):
        assert make(project, "wheelhouse", "DOCKER=./stub", *words).returncode == 0
        assert calls(project) == 1, words


def test_wheelhouse_fails(project):
    """When wheels cannot be made the old wheelhouse stays, nothing half-made is left, and the next make tries again."""
    make(project, "wheelhouse", "DOCKER=./stub")
    calls(project)
    with (project / "requirements.txt").open("a") as changed:
        changed.write("# changed\n")
    assert make(project, "wheelhouse", "DOCKER=./stub", FAIL="1").returncode == 2
    assert [path.name for path in project.glob("wheelhouse*")] == ["wheelhouse"]
    calls(project)
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0 and calls(project) == 1


def test_verdicts_are_kept_for_the_next_build(project):
    """What an image has of them lies in the wheelhouse afterwards, and no container is left. An image that is not here,
    as some builders leave it, changes nothing."""
    path = project / "wheelhouse/verdicts/migrations.json"
    for said in ("first", "second"):
        done = make(project, "build", "DOCKER=./stub", "TAG=1", VERDICTS=said)
        assert done.returncode == 0 and path.read_text() == f"{said}\n", done.stderr
    assert (project / "calls").read_text().count("rm one\n") == 2
    done = make(project, "build", "DOCKER=./stub", "TAG=1", FAIL="1")
    assert done.returncode == 0 and done.stderr == "" and path.read_text() == "second\n", done.stderr
    assert [path.name for path in path.parent.iterdir()] == ["migrations.json"]


def test_without_django(project):
    """Another program's folder has no manage.py: its build makes no wheels, and says nothing of Django's."""
    for name in ("manage.py", "requirements.txt", "docker/packages.txt", "make/make_wheelhouse.py"):
        (project / name).unlink()
    done = make(project, "build", "DOCKER=./stub", "TAG=1")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = (project / "calls").read_text()
    assert " --build-arg RELEASE=1 " in said and "TEST" not in said and "PROJECT" not in said and "create" not in said
    assert not (project / "wheelhouse").exists()


def git(project, *words):
    done = run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "core.hooksPath=/dev/null", *words],
               cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_tag(project):
    """TAG is the short revision, -dirty with what is not committed, and what is said on the command line."""
    show = ["--eval=show: ; @echo $(TAG)", "show"]
    assert make(project, *show).stdout.strip() == "unversioned-dirty"
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "All")
    revision = git(project, "rev-parse", "--short", "HEAD")
    assert make(project, *show).stdout.strip() == revision
    (project / "new").touch()
    assert make(project, *show).stdout.strip() == f"{revision}-dirty"
    assert make(project, *show, "TAG=build-42").stdout.strip() == "build-42"


def test_push_dirty(project):
    """push refuses an image of what no commit holds, whatever it is called; unless told otherwise."""
    words = ("push", "DOCKER=./stub", "TAG=build-9", "IMAGE=r.example/shop")
    assert "commit" in error(make(project, *words, REVISION="0123abc-dirty"))
    assert "push" not in (project / "calls").read_text()
    assert make(project, *words, REVISION="0123abc").returncode == 0
    assert "push r.example/shop:build-9" in (project / "calls").read_text()
    assert make(project, *words, "ALLOW_DIRTY=1", REVISION="0123abc-dirty").returncode == 0


def test_push_without_a_registry(project):
    """Docker Hub's name is a stranger's: nothing is pushed, and it says what to set; or that no push is needed."""
    words = ("push", "DOCKER=./stub", "TAG=1", "APP=shop")
    assert error(make(project, *words)) == (
        "make: push where? IMAGE is shop, without a registry: set it in the Makefile, such as registry.example/shop")
    (project / "deploy").mkdir()
    (project / "deploy/production.toml").write_text('registry = "ssh"\n')
    done = make(project, *words)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == (
        'make: nothing to push: deploy/production.toml has registry = "ssh", so make deploy sends the image\n')
    assert "push" not in (project / "calls").read_text()


# A compose that starts all at once; the site in it answers when it has been asked $ANSWERS times.
COMPOSE_STUB = """#!/bin/sh
echo "$*" >>"$CALLS"
case " $* " in
    *" exec "*) [ "$(grep -c " exec " "$CALLS")" -ge "$ANSWERS" ] ;;
    *" logs "*) echo "web | why" ;;
esac
"""


@pytest.mark.parametrize("answers, code, asked", [("3", 0, 3), ("99", 2, None)])
def test_up_waits_until_the_site_answers(project, answers, code, asked):
    """make up ends when the site answers, and says where; one that does not is told with its log, and no success."""
    (project / "compose").write_text(COMPOSE_STUB)
    (project / "compose").chmod(0o755)
    words = ["DOCKER=./stub", "COMPOSE=./compose", "TAG=1", "PORT=8123", *["UP_SECONDS=1"] * bool(code)]
    done = make(project, "up", *words, ANSWERS=answers)
    assert (done.returncode, "make: http://localhost:8123\n" in done.stdout) == (code, not code), done.stderr
    assert asked in (None, (project / "calls").read_text().count(" exec "))
    assert ("web | why\nmake: the site does not answer within 1 s" in done.stderr) == bool(code), done.stderr


def test_secrets(project):
    """What up needs to know is made once, random, and for the caller's eyes alone."""
    assert make(project, "var/compose.env").returncode == 0
    path = project / "var/compose.env"
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600 and len(set(first.split("=")[1])) > 8
    make(project, "var/compose.env")
    assert path.read_text() == first
