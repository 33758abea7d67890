"""docker-stop with a stand-in for docker, and with processes that stand for the init of a container."""

import contextlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from proc import edit, end, executable, running, wait_until

from .conftest import program
from .runner import ID, UNIT, USER, Server

SCOPE = "0::/system.slice/docker-{}.scope"
CGROUPS = ("12:pids:/docker/{}\n0::/", SCOPE, SCOPE + "/init.scope")
WELL_BEHAVED = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path / "a server", [program("dash")])


@contextlib.contextmanager
def container(server, script, cgroup=CGROUPS[0], known=True, config='{"Config": {}}'):
    """Run this script, which prints "up", as the init of a unit's container, as /proc below server.root shows it.
    `known`: its start has written the note with its id; `config`: Docker's file about it."""
    init = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    init.stdout.readline()
    server.put(f"proc/{init.pid}/cgroup", cgroup.format(ID) + "\n")
    server.put(f"proc/{init.pid}/status", f"Name:\tsh\nNSpid:\t{init.pid}\t1\n")
    (server.root / f"proc/{init.pid}/task").symlink_to(f"/proc/{init.pid}/task")
    if known:
        server.put("run/docker-runner/shop-web-a", ID + "\n")
    if config:
        server.put(f"var/lib/docker/containers/{ID}/config.v2.json", config)

    def reap():
        init.wait()
        engines = server.stub / "container"
        if engines.exists():
            engines.write_text(engines.read_text().replace("running", "exited"))
        shutil.rmtree(server.root / f"proc/{init.pid}")

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        with init.stdin, init.stdout:
            yield init
    finally:
        end(init)
        reaper.join(10)


def test_a_stop_waits_until_init_listens(server):
    """init loses a TERM that comes before it has a child. The stop waits for that child, or it would time out."""
    edit(server.stub / "docker-stop", "time.monotonic() + 2\n", "time.monotonic() + 60\n")  # a busy machine is slow
    with (
        container(server, "echo up; read go; sleep 60; :") as init,
        running(server.command("--stop", "shop-web-a"), env=server.env),
    ):
        time.sleep(0.5)
        assert init.poll() is None
        init.stdin.write(b"go\n")
        init.stdin.flush()
        assert init.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize(
    "engine, cgroup",
    [("well", CGROUPS[0]), ("well", CGROUPS[1]), ("well", CGROUPS[2]), ("away", CGROUPS[0]), ("hung", CGROUPS[1])],
)
def test_stop(server, engine, cgroup):
    """--stop ends the container's processes whatever the engine does, and removes the container if the engine answers
    at once; it does not wait for an engine that hangs."""
    server.put("stub/container", "running  ")
    if engine != "well":
        server.put("stub/down" if engine == "away" else "stub/hung", "99")
    with container(server, WELL_BEHAVED, cgroup) as init:
        done = server("--stop", "shop-web-a", "60")
        assert done.returncode == 0 and init.wait(1) == 0
    assert [call[0] for call in server.calls()] == ["rm"]
    assert (
        (server.stub / "container").exists()
        == (server.root / "run/docker-runner/shop-web-a").exists()
        == (engine != "well")
        == ("Docker does not answer" in done.stderr)
    )


@pytest.mark.parametrize(
    "config, sent",
    [
        ('{"Config": {}}', signal.SIGTERM),
        ('{"Config": {"StopSignal": "SIGINT"}}', signal.SIGINT),
        ('{"Config": {"StopSignal": "3"}}', signal.SIGQUIT),
        (None, signal.SIGUSR1),
    ],
)
def test_a_stop_is_as_the_image_wants_it(server, config, sent):
    """A stop sends the STOPSIGNAL of an image, as Postgres has one, or --stop-signal. It reads Docker's own file, as
    the engine may be away, and asks the engine only if the file is elsewhere."""
    server.put("stub/signal", "SIGUSR1")
    server.put("stub/container", "running  ")
    script = f"trap 'exit 7' {sent.name[3:]}; echo up; while :; do sleep 0.05; done"
    with container(server, script, config=config) as init:
        server.put("stub/down", "99" if config else "0")
        assert server("--stop", "shop-web-a", "20").returncode == 0
        assert init.wait(1) == 7


def test_a_stop_without_a_note(server):
    """An older docker-runner has written no note of the container, so the stop asks the engine for it. If there is
    none, or only a one-off of this name, the stop does nothing and prints nothing; if the engine is away, it reports
    that one may still run."""
    assert server("--stop", "shop-web-a").stderr == ""
    server.put("stub/container", "running  ")
    assert server("--stop", "shop-web-a").stderr == "" and (server.stub / "container").exists()
    server.put("stub/container", "running image settings")
    with container(server, WELL_BEHAVED, known=False) as init:
        assert server("--stop", "shop-web-a").returncode == 0
        assert init.wait(1) == 0
    assert not (server.stub / "container").exists()
    server.put("stub/down", "99")
    done = server("--stop", "shop-web-a")
    assert done.returncode == 0 and done.stderr.endswith("it may still run\n")


def test_a_stop_signals_no_stranger(server):
    """A stop signals no process that reuses the number of an ended one, none of an engine inside a container, and none
    that `docker exec` runs in the container."""
    with (
        container(server, WELL_BEHAVED, SCOPE + "/docker/inner") as inner,
        container(server, WELL_BEHAVED, "0::/user.slice") as reused,
        container(server, WELL_BEHAVED) as guest,
    ):
        server.put(f"proc/{guest.pid}/status", f"NSpid:\t{guest.pid}\t21\n")
        assert server("--stop", "shop-web-a", "1").returncode == 0
        assert [process.poll() for process in (inner, reused, guest)] == [None] * 3


def test_the_next_start_finds_no_endpoint(server):
    """After a start that failed, Docker forgets an endpoint that a container of this name has left in its networks."""
    server("--stop", "shop-web-a", SERVICE_RESULT="exit-code", EXIT_STATUS="1")
    assert [call[0] for call in server.calls()] == ["inspect", "rm"]
    server("--stop", "shop-web-a", SERVICE_RESULT="exit-code", EXIT_STATUS="125")
    assert server.calls()[-1] == ["network", "disconnect", "--force", "bridge", "shop-web-a"]


@pytest.mark.parametrize(
    "result, stops", [("success", True), ("timeout", True), ("signal", False), ("oom-kill", False)]
)
def test_a_killed_docker_runner_is_no_stop(server, result, stops):
    """If docker-runner was killed, systemd's stop command leaves the container to the next start, which adopts it."""
    with container(server, WELL_BEHAVED) as init:
        assert server("--stop", "shop-web-a", SERVICE_RESULT=result).returncode == 0
        assert (init.poll() is not None) == stops
    assert bool(server.calls("rm")) == stops


def test_a_unit_that_is_stopped_before_its_restart(server):
    """If docker-runner is killed, systemd's stop command leaves a note. While the unit may restart, its container runs
    on; when it is stopped instead, docker-killed.service ends the container."""
    note = server.root / "run/docker-runner/shop-web-a.killed"
    executable(
        server.stub / "systemctl",
        f"#!/bin/sh\n[ $4 = shop-web@a.service ] && cat '{server.stub}/state'\necho >>'{server.stub}/asked'\n",
    )
    server.put("stub/state", "ActiveState=activating\n")
    with container(server, WELL_BEHAVED) as init:
        server("--stop", "shop-web-a", "10", "shop-web@a.service", "60", SERVICE_RESULT="signal")
        assert note.read_text() == "shop-web@a.service 60"
        with running([server.stub / "docker-stop", "--killed"], env=server.env) as watch:
            for state in "ActiveState=activating\n", "ActiveState=inactive\nJob=7\n":
                server.put("stub/state", state)
                server.put("stub/asked", "")
                wait_until(lambda: (server.stub / "asked").read_text().count("\n") > 2, 20)
                assert note.exists() and init.poll() is None
            server.put("stub/state", "ActiveState=inactive\n")
            assert watch.wait(30) == init.wait(1) == 0 and not note.exists()


def test_a_stop_that_was_asked_for_is_one(server):
    """If a slow stop is killed with docker-runner, the next stop ends the container. A start clears the request."""
    with container(server, STUBBORN) as init:
        with running(server.command("--stop", "shop-web-a", "60"), env=server.env) as stop:
            wait_until((server.root / "run/docker-runner/shop-web-a.stop").exists)
            stop.kill()
        assert server("--stop", "shop-web-a", "1", SERVICE_RESULT="signal").returncode == 0
        assert init.wait(1) == -signal.SIGKILL
    server.put(f"run/docker-runner/{USER}-web-a.stop", "")
    assert server(*UNIT).returncode == 0
    assert not (server.root / f"run/docker-runner/{USER}-web-a.stop").exists()


def test_a_stop_without_room_for_its_note(server):
    with container(server, WELL_BEHAVED) as init:
        (server.root / "run/docker-runner/shop-web-a.stop").symlink_to("/dev/full/none")
        assert server("--stop", "shop-web-a").returncode == 0
        assert init.wait(1) == 0
