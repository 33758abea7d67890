"""Tests of a server's units, nginx and slots with the real systemd and engine, under reboots, kills and full disks."""

import shlex
import time

import pytest

import proc
from documented import block
from e2e import byhand
from e2e.byhand import active, answers, containers, started, until_it_answers
from e2e.fleet import apps
from e2e.fleet.load import Load
from proc import wait_until
from slipway.fleet.docker import docker

# Actions refused to a container: writes outside /tmp, programs in /tmp, too much space, memory and threads.
TRIES = """
import os, threading
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
os.close(os.open("/tmp/run", os.O_CREAT, 0o755))
print(said(open, "/app/new", "w"), said(os.execv, "/tmp/run", ["run"]), said(big), threads(), sep=", ", flush=True)
os._exit(0)
"""
ALL = ("shop-web-a", "shop-worker-a", "shop-beat")
UNITS = ("shop-web@a", "shop-worker@a", "shop-beat")
RESTARTS = f"systemctl show -P NRestarts {' '.join(UNITS)}"


@pytest.fixture(scope="module")
def images(fleet):
    faults = {"v1": "", "v2": "", "busy": "busy"}
    return {
        release: fleet.registry.push(apps.echo(release, fault), f"shop:{release}") for release, fault in faults.items()
    }


@pytest.fixture(scope="module")
def installed(fleet, images):
    """Install the app shop in all roles on a server, and commit its release v1."""
    host = byhand.install(fleet, images["v1"])
    wait_until(lambda: answers(host, "shop")[0] == 503, what="no release is up yet, and nginx has reloaded")
    byhand.release(host, images["v1"])
    return host


@pytest.fixture
def host(installed):
    """Start all units in slot a. Return the server."""
    installed.run("systemctl start docker shop.target")
    until_it_answers(installed, "shop", "v1")
    wait_until(lambda: running(installed) == set(ALL), what="all containers run, and no other")
    return installed


def running(host):
    """Return the names of all running containers."""
    return {name for name, state in containers(host).items() if state == "running"}


def load(host, **options):
    return Load(host.url, host="shop.example", **{"rate": 50, "seconds": 120, **options})


def test_the_target_starts_and_stops_it_all(host):
    """After `systemctl stop APP.target` no container is left and nginx answers 503. `start` starts the live slot and
    beat. Each line that a container prints is in the journal once."""
    host.run("systemctl stop shop.target", timeout=60)
    assert containers(host) == {} and answers(host, "shop")[0] == 503
    assert active(host, *UNITS) == ["inactive"] * 3
    since = host.run("date '+%F %T.%N'").strip()
    host.run("systemctl start shop.target")
    until_it_answers(host, "shop", "v1")

    def lines():
        return host.run(f"journalctl --sync; journalctl --since '{since}' -o cat").count("v1 serves at")

    wait_until(lines, what="the line is in the journal")
    assert lines() == 1


def test_the_container_has_its_share_of_the_server(host):
    """The container has no capabilities, can write only to /tmp, and can run no program from there. The limits of
    processes, memory and that space are enforced."""
    status = host.run("EXTRA='--entrypoint /bin/cat' docker-runner shop /proc/self/status")
    assert all(f"{name}:\t{'0' * 16}\n" in status for name in ("CapEff", "CapBnd")) and "NoNewPrivs:\t1\n" in status
    said = host.run(
        f"EXTRA='--memory 1g --entrypoint /usr/bin/python3' docker-runner shop -c {shlex.quote(TRIES)}", timeout=120
    )
    assert said.strip() == "Read-only file system, Permission denied, No space left on device, can't start new thread"
    limits = host.run("docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' shop-beat").split()
    assert limits == [str(256 << 20), "1000"], "OPTS say --memory 256m"
    assert {"nosymfollow", "nosuid", "noexec"} <= {*host.run("findmnt -no OPTIONS /run/shop/a").strip().split(",")}


@pytest.mark.parametrize("how", ["systemctl restart docker", "pkill -9 -x dockerd"])
def test_docker_restarted_or_killed_costs_no_request(host, how):
    """If Docker stops twice within a minute under load, no request fails, and no container or unit restarts."""
    before, counted = started(host), host.run(RESTARTS)
    with load(host):
        for _ in range(2):
            host.run(how)
            time.sleep(1)  # visitors continue meanwhile
            wait_until(lambda: host.ssh("docker info >/dev/null 2>&1").returncode == 0, 60, "Docker answers again")
    assert started(host) == before and host.run(RESTARTS) == counted
    assert active(host, *UNITS) == ["active"] * 3


def test_a_killed_docker_runner_costs_no_request(host):
    """The next docker-runner of web, worker and beat adopts the container, without a restart."""
    before, counted = started(host), [int(number) for number in host.run(RESTARTS).split()]
    with load(host):
        host.run("systemctl kill -s KILL --kill-who=main shop-web@a shop-worker@a shop-beat")
        wait_until(lambda: [int(number) - 1 for number in host.run(RESTARTS).split()] == counted, what="they come back")
        host.run("systemctl kill -s KILL --kill-who=all shop-web@a")
        wait_until(lambda: int(host.run(f"{RESTARTS} | head -n 1")) == counted[0] + 2, what="it comes back again")
        wait_until(lambda: active(host, *UNITS) == ["active"] * 3)
    assert started(host) == before


@pytest.mark.parametrize("stop", [f"systemctl stop {' '.join(UNITS)}", "systemctl stop shop.target"])
@pytest.mark.parametrize("moment", [0, 0.1, 0.4, 0.9])
def test_a_stop_after_a_kill_ends_the_containers(host, stop, moment):
    """Until a killed docker-runner restarts, systemd runs no command of its unit for a stop."""
    host.run(f"systemctl kill -s KILL --kill-who=main {' '.join(UNITS)}; sleep {moment}; {stop}", timeout=60)
    wait_until(lambda: not running(host), what="no container runs")


@pytest.mark.parametrize("what", [f"systemctl kill -s KILL --kill-who=main {' '.join(UNITS)}", "pkill -9 -x dockerd"])
def test_a_kill_at_any_moment_of_stop_and_start(host, what):
    """Whenever docker-runner or the engine is killed, up to a second before a stop or until after the start that
    follows, visitors get answers again, and everything runs, once."""
    for moment in range(0, 32, 2):
        killer = f"(sleep {moment / 10}; {what}) & sleep 1.2; systemctl stop shop.target; systemctl start shop.target"
        host.run(f"systemctl reset-failed docker; {killer}; wait", timeout=120)
        until_it_answers(host, "shop", "v1")
        wait_until(lambda: running(host) == set(ALL), what=f"everything runs after a kill at {moment / 10} s")


def start_busy(host, image):
    """Start slot b with a worker that still needs 30 s for its task when it is stopped."""
    byhand.release(host, image, "/run/shop/b.tag")
    host.run(
        "cp /etc/default/shop.env /run/shop/b.env; systemctl start shop-web@b shop-worker@b shop-beat", timeout=120
    )
    wait_until(lambda: {"shop-web-b", "shop-worker-b", "shop-beat"} <= running(host), 60, "slot b runs")
    wait_until(lambda: host.ssh("test -e /run/shop/b/worker.ready").returncode == 0, what="its worker works")


def test_no_stop_keeps_the_engine_away(host, images):
    """If dockerd is killed during a stop, it is back while a worker still finishes its task, and the stops of units
    without a task have ended without it."""
    units = "shop-web@b shop-worker@b shop-beat"
    start_busy(host, images["busy"])
    host.run(f"systemctl stop --no-block {units}; sleep 0.1; pkill -9 -x dockerd")
    try:
        ended = ["inactive", "deactivating", "inactive"]
        wait_until(lambda: active(host, *units.split()) == ended, 15, "two have ended")
        wait_until(lambda: host.ssh("timeout 5 docker info >/dev/null 2>&1").returncode == 0, 15, "the engine is back")
        assert active(host, "shop-worker@b") == ["deactivating"]
        assert "docker.service" not in host.run("systemctl list-jobs --no-legend")
        assert not running(host) & {"shop-web-b", "shop-beat"} and "shop-worker-b" in running(host)
    finally:
        host.run("systemctl start docker")
        host.ssh("docker kill shop-worker-b")  # may fail: its task of 30 s may have ended
    wait_until(lambda: active(host, "shop-worker@b") in (["inactive"], ["failed"]), 15, "the stop has ended")
    assert "shop-worker-b" not in running(host)


def test_a_reboot_ends_what_is_under_way(host, images):
    """On an orderly shutdown, a request of 8 s and a task of 30 s finish, and no visitor gets an error that the app is
    gone."""
    start_busy(host, images["busy"])
    slow = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: shop.example", f"{host.url}/?ms=8000"]
    asked = "grep shop/a/web.sock /proc/net/unix | grep -v 00010000"  # without listening sockets
    with proc.running(slow) as request:
        wait_until(lambda: host.run(asked), 10, "it is being answered")
        with load(host, rate=20, may_fail=True) as visitors:
            host.console("systemctl reboot")
            assert request.wait(60) == 0 and request.output() == "200"
            wait_until(
                lambda: "false" in docker("inspect", "--format={{.State.Running}}", host.machine.container).stdout,
                180,
                "the server is off",
            )
    result = visitors.result
    assert not [cause for cause in result.causes if cause.startswith("http")], result.summary()
    host.power_on()
    host.run("journalctl -t shop-worker-b -o cat | grep 'busy has ended its task'")
    until_it_answers(host, "shop", "v1")


RETURNS = {
    "its container killed": "docker kill -s KILL shop-web-a",
    "its container removed": "docker rm -f shop-web-a",
    "nginx killed": "pkill -9 -x nginx",
}


@pytest.mark.parametrize("fault", RETURNS)
def test_it_comes_back_by_itself(host, fault):
    """After each fault visitors get answers again without help, and all units run, once each."""
    old = started(host)["/shop-web-a"]
    with load(host, rate=20, may_fail=True) as visitors:
        host.run(RETURNS[fault])
        wait_until(lambda: started(host).get("/shop-web-a", old) != old or fault == "nginx killed", 60)
        until_it_answers(host, "shop", "v1")
    assert visitors.result.failures, "the fault was felt"
    wait_until(lambda: running(host) == set(ALL), what="everything runs, and nothing else")


def test_a_full_disk_at_the_start_is_waited_out(host):
    """While no container can be created, the unit retries. Once there is room, it starts by itself."""
    host.run("systemctl stop shop-web@a")
    restarts = "systemctl show -P NRestarts shop-web@a"
    with host.full("/var/lib/docker/containers"):
        host.run("systemctl start shop-web@a")
        wait_until(lambda: int(host.run(restarts)) >= 3, 60, "it tries again")
        assert answers(host, "shop")[0] == 503
    until_it_answers(host, "shop", "v1")


def test_somebody_s_container_of_a_unit_s_name(host, images):
    """A stopped one, or one that was never started, is removed; one that runs keeps its name until its end, and beat
    starts then."""
    ours = host.run("docker inspect --format {{.Id}} shop-beat").strip()
    for make in ("create", "run -d"):
        host.run("systemctl stop shop-beat")
        host.run(f"docker {make} --name shop-beat --entrypoint sleep {images['v1']} 600")
        host.run("systemctl start shop-beat")
        if make == "run -d":
            wait_until(lambda: "already runs by hand" in host.run("journalctl -t shop-beat --since -1min"))
            assert host.run("docker inspect --format {{.Path}} shop-beat").strip() == "sleep", "nobody has stopped it"
            host.run("docker stop -t 0 shop-beat")
        label = '{{index .Config.Labels "docker-runner.image"}}'
        wait_until(
            lambda label=label: host.run(f"docker inspect --format '{label}' shop-beat").strip(), what="beat runs"
        )
        assert active(host, "shop-beat") == ["active"]
        assert host.run("docker inspect --format {{.Id}} shop-beat").strip() != ours


def test_another_image_as_a_service(host, images):
    """The commands of docs/server.md start it."""
    host.run("sh -e", input=block(proc.ROOT / "docs/server.md", "docker network").replace("redis:7", images["v1"]))
    wait_until(lambda: "redis" in running(host), 30, "it runs")
    host.run(
        "systemctl disable --now docker-service@redis && rm /etc/default/redis && docker network rm shop &&"
        " docker volume rm redis"
    )


def test_a_power_cut_ends_in_the_committed_release_in_slot_a(host, images):
    """A power cut while slot b serves an uncommitted release leads to slot a with TAG's release and its settings."""
    byhand.release(host, images["v2"], "/run/shop/b.tag")
    host.run("cp /etc/default/shop.env /run/shop/b.env; systemctl start shop-web@b")
    wait_until(lambda: host.ssh("curl -sf --unix-socket /run/shop/b/web.sock http://x/").returncode == 0)
    with load(host, rate=100) as visitors:
        host.run("cd /run/shop && ln -s b/web.sock new && mv -T new web.sock")
        until_it_answers(host, "shop", "v2")
    assert not visitors.result.late("v1", "v2"), visitors.result.summary()
    host.run("sync")
    host.power_cut()
    host.power_on()
    until_it_answers(host, "shop", "v1")
    assert host.run("readlink /run/shop/web.sock") == "a/web.sock\n"
    wait_until(lambda: running(host) == set(ALL), what="slot a and beat run, and nothing else")
    assert host.run("cmp /run/shop/a.tag /var/www/shop/TAG; stat -c %a /run/shop/a.env") == "600\n"
