"""Tests of docker.mk without Docker: its errors if Docker is missing, when it remakes the wheelhouse, and how."""

import os
import shutil

import pytest

from checkout import WRITTEN
from proc import ROOT, append, executable, output, put, put_into_git, refusal, run, words_of

WHEELS_FROM = ("docker/packages.txt", "requirements.txt", "requirements/dev.txt", "slipway/make/wheelhouse.py")
FILES = ("docker.mk", "ve.mk", "manage.py", *WHEELS_FROM)
TESTED = ("TEST", "PROJECT", "WHEELS")  # in arguments of a Django project's build
# A fake docker: its builder makes a wheelhouse of one file.
STUB = """#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
    image) echo "${REVISION-}" ;;
    run) [ -z "${FAIL-}" ] || exit 7; mkdir -p house && touch house/pip.whl && tar -cf - -C house . ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """Return a folder with only the files that docker.mk needs, in a path with a space."""
    folder = tmp_path / "a project"
    shutil.copytree(ROOT / "slipway", folder / "slipway", ignore=WRITTEN)
    for file in (*FILES, "Dockerfile"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    executable(folder / "stub", STUB)
    return folder


def make(project, *words, **env):
    env = {**os.environ, "CALLS": str(project / "calls"), **env}
    return run(["make", "-f", "docker.mk", *words], cwd=project, env=env)


def calls(project):
    """Return the number of times that the builder ran since the last call."""
    path = project / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return sum(line.startswith("run ") for line in lines)


@pytest.mark.parametrize("target", ["wheelhouse", "push", "services"])
def test_no_docker(project, target):
    """Without Docker, or with an engine that does not answer, each target fails with one line: make doctor says why."""
    (project / "stub").write_text("#!/bin/sh\nexit 1\n")
    for docker in ("no-such-docker", "./stub"):
        words = [target, f"DOCKER={docker}", "TAG=1"]
        assert f"{docker} does not answer: make doctor says why" in refusal(make(project, *words))


def test_wheelhouse_holds(project):
    """The wheelhouse is made once: a second make or a touched file neither remakes it nor needs Docker. Other pins,
    packages, base or way to make wheels remake it and remove its old content."""
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0
    assert calls(project) == 1
    for file in FILES:
        os.utime(project / file)
    assert make(project, "wheelhouse", "DOCKER=no-such-docker").returncode == 0
    for file in WHEELS_FROM:
        (project / "wheelhouse/old.whl").touch()
        append(project / file, "# changed\n")
        assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0
        assert calls(project) == 1 and not (project / "wheelhouse/old.whl").exists(), file
    for words in (["BASE=debian:forky-slim"], ["BASE=debian:forky-slim", "PLATFORM=linux/arm64"]):
        assert make(project, "wheelhouse", "DOCKER=./stub", *words).returncode == 0
        assert calls(project) == 1, words


OWN = "vendor/slipway_django-{}-py3-none-any.whl"
LOCK = """[[package]]
name = "django"
[[package]]
name = "shop"
requires-dist = [{{ name = "slipway-django", path = "{0}" }}]
[[package]]
name = "slipway-django"
source = {{ path = "{0}" }}
wheels = [{{ hash = "sha256:{1}" }}]
"""


def test_an_update_of_the_template_makes_no_wheels(project):
    """The image has the template's package from vendor/. Without uv.lock, its line and hash do not count either."""
    for path, text in (("requirements.txt", "./{}[jobs] \\\n    --hash=sha256:{}\n"), ("uv.lock", LOCK)):
        for version, made in (("1.0", 1), ("2.0", 0)):
            put(project / path, "django==5.2\n" + text.format(OWN.format(version), version[0] * 8))
            assert make(project, "build", "TAG=1", "DOCKER=./stub").returncode == 0
            assert calls(project) == made, (path, version)


def test_wheels_that_stay_do_not_travel(project):
    """The builder gets the old wheelhouse with empty wheels, but uv's, and what comes back empty is filled again."""
    put(project / "wheelhouse/django-5.2-py3-none-any.whl", "the code")
    put(project / "wheelhouse/uv.whl", "the program")
    sent = STUB.replace("mkdir -p house", "mkdir -p house; tar -xf - -C house; wc -c house/*.whl >sizes")
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0  # none are known to be of this image
    put(project / "wheelhouse/django-5.2-py3-none-any.whl", "the code")
    put(project / "wheelhouse/uv.whl", "the program")
    executable(project / "stub", sent)
    append(project / "requirements.txt", "# changed\n")
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0
    assert (project / "sizes").read_text().split()[:4] == [
        "0",
        "house/django-5.2-py3-none-any.whl",
        "0",
        "house/pip.whl",
    ]
    assert (project / "wheelhouse/django-5.2-py3-none-any.whl").read_text() == "the code"
    assert (project / "wheelhouse/uv.whl").read_text() == "the program"


def test_wheelhouse_fails(project):
    """If wheels cannot be made, the old wheelhouse stays, no half-made one is left, and the next make tries again."""
    make(project, "wheelhouse", "DOCKER=./stub")
    append(project / "requirements.txt", "# changed\n")
    assert make(project, "wheelhouse", "DOCKER=./stub", FAIL="1").returncode == 2
    assert [path.name for path in project.glob("wheelhouse*")] == ["wheelhouse"]
    calls(project)
    assert make(project, "wheelhouse", "DOCKER=./stub").returncode == 0 and calls(project) == 1


def test_without_django(project):
    """Another program's folder has no manage.py: its build makes no wheels and prints nothing about Django."""
    for name in ("manage.py", "requirements.txt", "docker/packages.txt"):
        (project / name).unlink()
    done = make(project, "build", "DOCKER=./stub", "TAG=1")
    assert done.returncode == 0 and words_of(done) == "", done.stderr
    said = (project / "calls").read_text()
    assert " --build-arg RELEASE=1 " in said and not any(name in said for name in TESTED)
    assert not (project / "wheelhouse").exists()


def test_tag(project):
    """TAG is the short revision, with -dirty if there are uncommitted changes. The command line overrides it."""
    show = ["--eval=show: ; @echo $(TAG)", "show"]
    assert make(project, *show).stdout.strip() == "unversioned-dirty"
    put_into_git(project)
    revision = output(["git", "rev-parse", "--short", "HEAD"], cwd=project).strip()
    assert make(project, *show).stdout.strip() == revision
    (project / "new").touch()
    assert make(project, *show).stdout.strip() == f"{revision}-dirty"
    assert make(project, *show, "TAG=build-42").stdout.strip() == "build-42"


def test_push_dirty(project):
    """push refuses an image of uncommitted changes, whatever its tag, unless ALLOW_DIRTY is set."""
    words = ("push", "DOCKER=./stub", "TAG=build-9", "IMAGE=r.example/shop")
    assert "commit" in refusal(make(project, *words, REVISION="0123abc-dirty"))
    assert "push" not in (project / "calls").read_text()
    assert make(project, *words, REVISION="0123abc").returncode == 0
    assert "push r.example/shop:build-9" in (project / "calls").read_text()
    assert make(project, *words, "ALLOW_DIRTY=1", REVISION="0123abc-dirty").returncode == 0


def test_push_without_a_registry(project):
    """Without a registry nothing is pushed: Docker Hub's name may be a stranger's. One line says what to set."""
    words = ("push", "DOCKER=./stub", "TAG=1", "APP=shop")
    assert refusal(make(project, *words)) == (
        "make: IMAGE=shop names no registry: set image in deploy/production.toml, such as registry.example/shop"
    )
    for other in ('# registry = "ssh"\n', '[rollout]\nregistry = "ssh"\n', 'x = """\nregistry = "ssh"\n"""\n'):
        put(project / "deploy/production.toml", other)
        assert "names no registry" in refusal(make(project, *words)), other
    put(project / "deploy/production.toml", "registry = 'ssh'\n")
    done = make(project, *words)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == (
        'make: nothing to push: deploy/production.toml has registry = "ssh", so slipway deploy sends the image\n'
    )
    assert "push" not in (project / "calls").read_text()


# A compose whose services start at once, unless $ANSWERS is "none"; its site answers after $ANSWERS requests.
COMPOSE_STUB = """#!/bin/sh
echo "$*" >>"$CALLS"
case " $* " in
    *" exec "*) [ "$(grep -c " exec " "$CALLS")" -ge "$ANSWERS" ] ;;
    *" up "*) [ "$ANSWERS" != none ] ;;
    *" logs "*) for service; do :; done; echo "$service | why" ;;
esac
"""


@pytest.mark.parametrize("answers, code, asked", [("3", 0, 3), ("99", 2, None), ("none", 2, 0)])
def test_up_waits_until_the_site_answers(project, answers, code, asked):
    """make up waits until the site answers, then prints its address. If it never does, or migrate
    fails, make up fails with a log."""
    executable(project / "compose", COMPOSE_STUB)
    words = ["DOCKER=./stub", "COMPOSE=./compose", "TAG=1", "PORT=8123"]
    if code:
        words.append("UP_SECONDS=1")
    done = make(project, "up", *words, ANSWERS=answers)
    assert (done.returncode, "make: http://localhost:8123\n" in done.stdout) == (code, not code), done.stderr
    assert asked in (None, (project / "calls").read_text().count(" exec "))
    why = "migrate | why\n" if answers == "none" else "web | why\nmake: the site does not answer within 1 s"
    assert (why in done.stderr) == bool(code), done.stderr


def test_secrets(project):
    """The secrets for make up are made once, at random, and only the caller can read them."""
    executable(project / "compose", COMPOSE_STUB)
    path, words = project / "var/compose.env", ["down", "DOCKER=./stub", "COMPOSE=./compose"]
    assert make(project, *words).returncode == 0
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600 and len(set(first.split("=")[1])) > 8
    make(project, *words)
    assert path.read_text() == first
