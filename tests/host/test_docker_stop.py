"""docker-stop on a stand-in docker, and on processes that stand for containers' first ones."""

import contextlib
import shutil
import signal
import subprocess
import threading
import time

import pytest

from proc import end, running, wait_until

from .conftest import program
from .test_docker_runner import ID, Server, UNIT, USER

SCOPE = "0::/system.slice/docker-{}.scope"
CGROUPS = ("12:pids:/docker/{}\n0::/", SCOPE, SCOPE + "/init.scope")
WELL_BEHAVED = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path / "a server", [program("dash")])


@contextlib.contextmanager
def container(server, script, cgroup=CGROUPS[0], known=True, config='{"Config": {}}'):
    """A process that stands for the first one of a unit's container, as the kernel shows it below server.root; it runs
    this script, which says "up". `known`: its id has been written down by its start; `config`: Docker's file of it."""
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
    """A TERM before init takes any is lost, and a stop would last all its time: so init has to have a child first."""
    with container(server, "echo up; read go; sleep 60; :") as init:
        with running(server.command("--stop", "shop-web-a"), env=server.env):
            time.sleep(0.5)
            assert init.poll() is None
            init.stdin.write(b"go\n")
            init.stdin.flush()
            assert init.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("engine, cgroup", [
    ("well", CGROUPS[0]), ("well", CGROUPS[1]), ("well", CGROUPS[2]), ("away", CGROUPS[0]), ("hung", CGROUPS[1])])
def test_stop(server, engine, cgroup):
    """--stop ends the container's processes whatever the engine does, and removes it where the engine answers at once;
    it waits for no engine that hangs."""
    server.put("stub/container", "running  ")
    if engine != "well":
        server.put("stub/down" if engine == "away" else "stub/hung", "99")
    with container(server, WELL_BEHAVED, cgroup) as init:
        done = server("--stop", "shop-web-a", "60")
        assert done.returncode == 0 and init.wait(1) == 0
    assert [call[0] for call in server.calls()] == ["rm"]
    assert (server.stub / "container").exists() == (server.root / "run/docker-runner/shop-web-a").exists() \
        == (engine != "well") == ("Docker does not answer" in done.stderr)


@pytest.mark.parametrize("config, sent", [
    ('{"Config": {}}', signal.SIGTERM), ('{"Config": {"StopSignal": "SIGINT"}}', signal.SIGINT),
    ('{"Config": {"StopSignal": "3"}}', signal.SIGQUIT), (None, signal.SIGUSR1)])
def test_a_stop_is_as_the_image_wants_it(server, config, sent):
    """STOPSIGNAL of an image, as Postgres has one, or --stop-signal, by Docker's own file, as the engine may be away;
    it is asked where it keeps that elsewhere."""
    server.put("stub/signal", "SIGUSR1")
    server.put("stub/container", "running  ")
    script = f"trap 'exit 7' {sent.name[3:]}; echo up; while :; do sleep 0.05; done"
    with container(server, script, config=config) as init:
        server.put("stub/down", "99" if config else "0")
        assert server("--stop", "shop-web-a", "20").returncode == 0
        assert init.wait(1) == 7


def test_a_stop_without_a_note(server):
    """A container that a docker-runner of before has started is found by asking the engine; nothing there is nothing
    to do, and nothing to say."""
    assert server("--stop", "shop-web-a").stderr == ""
    server.put("stub/container", "running  ")
    with container(server, WELL_BEHAVED, known=False) as init:
        assert server("--stop", "shop-web-a").returncode == 0
        assert init.wait(1) == 0
    assert not (server.stub / "container").exists()


def test_a_stop_signals_no_stranger(server):
    """Neither a process that has the number of one that ended, nor one inside an engine that a container runs, nor one
    that somebody runs in the container."""
    with container(server, WELL_BEHAVED, SCOPE + "/docker/inner") as inner, \
            container(server, WELL_BEHAVED, "0::/user.slice") as reused, \
            container(server, WELL_BEHAVED) as guest:
        server.put(f"proc/{guest.pid}/status", f"NSpid:\t{guest.pid}\t21\n")
        assert server("--stop", "shop-web-a", "1").returncode == 0
        assert [process.poll() for process in (inner, reused, guest)] == [None] * 3


@pytest.mark.parametrize("result, stops", [
    ("success", True), ("timeout", True), ("signal", False), ("oom-kill", False)])
def test_a_killed_docker_runner_is_no_stop(server, result, stops):
    """What systemd runs after docker-runner was killed leaves the container to the next start, which adopts it."""
    with container(server, WELL_BEHAVED) as init:
        assert server("--stop", "shop-web-a", SERVICE_RESULT=result).returncode == 0
        assert (init.poll() is not None) == stops
    assert bool(server.calls("rm")) == stops


def test_a_stop_that_was_asked_for_is_one(server):
    """Whoever kills a stop that drags on, docker-runner and all, leaves no container; a start begins anew."""
    with container(server, STUBBORN) as init:
        with running(server.command("--stop", "shop-web-a", "60"), env=server.env) as stop:
            wait_until(lambda: (server.root / "run/docker-runner/shop-web-a.stop").exists())
            stop.kill()
        assert server("--stop", "shop-web-a", "1", SERVICE_RESULT="signal").returncode == 0
        assert init.wait(1) == -signal.SIGKILL
    server.put(f"run/docker-runner/{USER}-web-a.stop", "")
    assert server(*UNIT).returncode == 0
    assert not (server.root / f"run/docker-runner/{USER}-web-a.stop").exists()


def test_nobody_says_what_is_not_known(server):
    """The engine is away and there is no note of the container: it may run, and that is said."""
    server.put("stub/down", "99")
    done = server("--stop", "shop-web-a")
    assert done.returncode == 0 and done.stderr.endswith("it may run still\n")


def test_a_stop_without_room_for_its_note(server):
    """A disk that is full keeps nobody from being stopped."""
    with container(server, WELL_BEHAVED) as init:
        (server.root / "run/docker-runner/shop-web-a.stop").symlink_to("/dev/full/none")
        assert server("--stop", "shop-web-a").returncode == 0
        assert init.wait(1) == 0
