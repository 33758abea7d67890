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
    host, image = fleet.hosts["web1"], fleet.registry.push(apps.echo("v1"), "shop:v1")
    byhand.install(host, "shop", image.rpartition(":")[0])
    byhand.release(host, "shop", image)
    return host


def test_a_command_has_the_releases_settings_and_the_apps_user(host):
    """`docker-runner shop manage check` runs as the app's user with APP.env in its environment, and leaves nothing."""
    said = json.loads(host.run("docker-runner shop manage check", timeout=120))
    assert said["command"] == ["manage", "check"] and said["uid"] == int(host.run("id -u shop"))
    assert said["environment"]["SECRET_KEY"] == f"{byhand.SECRET}-shop"
    assert said["environment"]["RELEASE"] == "v1"
    assert byhand.containers(host) == {}


def test_words_and_input_arrive(host):
    """Arguments with spaces and quotes come through, and so does what is piped in."""
    words = ["manage", "shell", "-c", "print('a b', \"c\")", "", "*"]
    assert json.loads(host.run(f"docker-runner shop {shlex.join(words)}"))["command"] == words
    echo = "docker-runner shop -c 'import sys; print(sys.stdin.read().upper(), sys.stdout.isatty())'"
    assert host.run(f"echo piped | EXTRA='--entrypoint /usr/bin/python3' {echo}") == "PIPED\n False\n"


def test_a_terminal_is_passed_on(host):
    """With a terminal, the command in the container has one."""
    asked = "docker-runner shop -c 'import sys; print(sys.stdin.isatty(), sys.stdout.isatty())'"
    done = host.run(f"EXTRA='--entrypoint /usr/bin/python3' script -qec {shlex.quote(asked)} /dev/null")
    assert "True True" in done


def test_the_container_may_nothing(host):
    """No capability is left, and none can be had."""
    said = host.run("EXTRA='--entrypoint /bin/cat' docker-runner shop /proc/self/status")
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert status["CapEff"] == status["CapBnd"] == "0" * 16 and status["NoNewPrivs"] == "1"


def test_the_container_has_its_share_of_the_server(host):
    """It writes to /tmp alone, from where nothing is run; processes, memory and that room have limits that hold."""
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


def test_exit_codes(host):
    """A command's own exit code comes through; each failure has its own, and one line that says what to do."""
    def fails(command, code, said):
        done = host.ssh(command)
        assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1, done.stderr

    assert host.ssh("docker-runner shop exit 37").returncode == 37
    fails("TAG=v0 docker-runner shop migrate", 72, "docker pull")
    fails("docker-runner blog migrate", 66, "/etc/default/blog")
    host.run("cd /var/www/shop && mv TAG TAG.away")
    fails("docker-runner shop migrate", 66, "deploy first")
    host.run("cd /var/www/shop && mv TAG.away TAG; cp /etc/default/shop /root/; echo \"OPTS='\" >>/etc/default/shop")
    fails("docker-runner shop migrate", 78, "/etc/default/shop")
    host.run("mv /root/shop /etc/default/shop")
    done = host.ssh("docker-runner shop migrate", user="deploy")
    assert done.returncode == 77 and "use sudo" in done.stderr


def test_only_one_of_a_name(host):
    """While migrate runs, a second one is refused by name; killed by a power cut, it is in nobody's way."""
    host.run("docker create --name shop-migrate --entrypoint sleep $(docker images -q | head -n 1) 60 &&"
             " docker start shop-migrate")
    done = host.ssh("docker-runner shop migrate")
    assert done.returncode == 75 and "shop-migrate is running already" in done.stderr
    host.run("docker kill shop-migrate")
    assert host.ssh("docker-runner shop migrate").returncode == 0


def test_no_engine(host):
    """Docker stopped: 69, and what to do."""
    host.run("systemctl stop docker.socket docker")
    try:
        done = host.ssh("docker-runner shop migrate")
        assert done.returncode == 69 and "systemctl status docker" in done.stderr
    finally:
        host.run("systemctl start docker")
