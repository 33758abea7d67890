"""docker-runner with a real engine: what a person, a cron job or a deploy types on a server."""

import json
import shlex

import pytest

from e2e import byhand
from e2e.fleet import apps
from proc import wait_until


@pytest.fixture(scope="module")
def host(fleet):
    """A server with the app shop, release v1, and nothing started."""
    fleet.reset("web1")
    image = fleet.registry.push(apps.echo("v1"), "shop:v1")
    host = byhand.install(fleet, "web1", "shop", image.rpartition(":")[0])
    byhand.release(host, "shop", image)
    return host


def test_a_command_in_the_release(host):
    """`docker-runner shop manage …` runs as the app's user with APP.env in its environment, and leaves nothing; words,
    input, a terminal and the exit code come through."""
    words = ["manage", "shell", "-c", "print('a b', \"c\")", "", "*"]
    said = json.loads(host.run(f"docker-runner shop {shlex.join(words)}", timeout=120))
    assert said["command"] == words and said["uid"] == int(host.run("id -u shop"))
    assert said["environment"]["SECRET_KEY"] == f"{byhand.SECRET}-shop" and said["environment"]["RELEASE"] == "v1"
    python = "EXTRA='--entrypoint /usr/bin/python3'"
    echo = "docker-runner shop -c 'import sys; print(sys.stdin.read().upper(), sys.stdout.isatty())'"
    assert host.run(f"echo piped | {python} {echo}") == "PIPED\n False\n"
    asked = "docker-runner shop -c 'import sys; print(sys.stdin.isatty(), sys.stdout.isatty())'"
    assert "True True" in host.run(f"{python} script -qec {shlex.quote(asked)} /dev/null")
    assert host.ssh("docker-runner shop exit 37").returncode == 37
    assert byhand.containers(host) == {}


def test_the_container_has_its_share_of_the_server(host):
    """It has no capability, and writes to /tmp alone, from where nothing is run; processes, memory and that room have
    limits that hold."""
    said = host.run("EXTRA='--entrypoint /bin/cat' docker-runner shop /proc/self/status")
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert status["CapEff"] == status["CapBnd"] == "0" * 16 and status["NoNewPrivs"] == "1"
    script = """
import os, pathlib, threading
def said(function, *words):
    try:
        return function(*words) and "done"
    except OSError as error:
        return error.strerror
def big():
    with open("/tmp/big", "wb", 0) as file:
        return [file.write(bytes(1 << 20)) == 1 << 20 or os.write(file.fileno(), b"x") for _ in range(300)]
def threads():
    try:
        [threading.Thread(target=threading.Event().wait, args=(9,), daemon=True).start() for _ in range(1200)]
    except RuntimeError as error:
        return str(error)
pathlib.Path("/tmp/run").write_text("#!/bin/sh")
os.chmod("/tmp/run", 0o755)
print(said(open, "/app/new", "w"), said(os.execv, "/tmp/run", ["run"]), said(big), threads(), sep=", ", flush=True)
os._exit(0)
"""
    said = host.run(f"EXTRA='--memory 1g --entrypoint /usr/bin/python3' docker-runner shop -c {shlex.quote(script)}",
                    timeout=120)
    assert said.strip() == ("Read-only file system, Permission denied, No space left on device, can't start new thread")
    host.run("docker-runner --unit shop-beat --slot beat shop beat >/dev/null 2>&1 &")
    limit = "docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' shop-beat"
    wait_until(lambda: host.ssh(limit).returncode == 0, what="beat is there")
    try:
        assert host.run(limit).split() == [str(256 << 20), "1000"], "OPTS say --memory 256m"
    finally:
        host.run("docker rm -f shop-beat")


def test_what_is_in_its_way(host):
    """While migrate runs, a second one is refused by name; killed by a power cut, it is in nobody's way. A user without
    rights is told so, and that there is no engine."""
    def fails(code, said, **options):
        done = host.ssh("docker-runner shop migrate", **options)
        assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1, done.stderr

    host.run("docker create --name shop-migrate --entrypoint sleep $(docker images -q | head -n 1) 60 &&"
             " docker start shop-migrate")
    fails(75, "shop-migrate is running already")
    host.run("docker kill shop-migrate")
    assert host.ssh("docker-runner shop migrate").returncode == 0
    fails(77, "use sudo", user="deploy")
    host.run("systemctl stop docker.socket docker")
    try:
        fails(69, "systemctl status docker")
    finally:
        host.run("systemctl start docker")
