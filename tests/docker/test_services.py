"""Tests of make services and services-down with a stand-in for Docker Compose: its calls, and changes of .env."""

import os

import pytest

from proc import ROOT, executable, run

OWN = "# mine\nSECRET_KEY=x\nSHOP_OPEN=false\n"
DB = "DATABASE_URL=postgres://app:app@127.0.0.1:5432/app\n"
REDIS = "CACHE_URL=redis://127.0.0.1:6379/1\nBROKER_URL=redis://127.0.0.1:6379/0\n"
STUB = '#!/bin/sh\necho "$*" >>calls\ncase $* in *" ${FAIL:-nothing} "*) exit 1;; esac\n'


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "a project"
    executable(folder / "docker", STUB)
    for path, text in {".env": OWN, "requirements.txt": "redis==8.1.0\n"}.items():
        (folder / path).write_text(text)
    (folder / ".env").chmod(0o600)
    (folder / "slipway").symlink_to(ROOT / "slipway")
    return folder


def make(project, target, **env):
    command = [
        "make",
        "-I",
        ROOT,
        "-f",
        ROOT / "docker.mk",
        target,
        "DOCKER=./docker",
        f"COMPOSE={env.get('COMPOSE', './docker')}",
        "APP=shop",
    ]
    return run(command, cwd=project, env={**os.environ, **env})


def env_file(project):
    return (project / ".env").read_text()


@pytest.mark.parametrize("pins, lines", [("redis==8.1.0\n", DB + REDIS), ("django==5.2\n", DB)])
def test_env_names_them_while_they_run(project, pins, lines):
    """Redis starts only if the pins include its client. services-down restores the file."""
    (project / "requirements.txt").write_text(pins)
    for _ in range(2):
        assert make(project, "services").returncode == 0 and env_file(project) == OWN + lines
    assert (project / "var/services.yaml").read_text().count('["127.0.0.1:') == 2, "nobody else can reach them"
    assert (" db redis\n" in (project / "calls").read_text()) == (REDIS in lines)
    done = make(project, "services-down")
    assert "shop-services_db" in done.stdout, done.stderr
    assert env_file(project) == OWN and (project / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "line, env, message",
    [
        (
            "DATABASE_URL=postgres://db.example/x\nBROKER_URL=amqp://x\n",
            {},
            "your own DATABASE_URL and BROKER_URL from ",
        ),
        ("", {"CACHE_URL": "redis://cache.example"}, "remove your own CACHE_URL from "),
        ("export A=1\n", {}, ".env line 4: "),
        ("", {"COMPOSE": "./none"}, "make: no Docker Compose here: see make doctor\n"),
        ("", {"FAIL": "up"}, "Docker Compose failed, see above: up --detach db redis"),
    ],
)
def test_refused(project, line, env, message):
    """A refusal is one line, after Docker's own lines, and .env stays unchanged."""
    (project / ".env").write_text(OWN + line)
    done = make(project, "services", **env)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert env_file(project) == OWN + line
