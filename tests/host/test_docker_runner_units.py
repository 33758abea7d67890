"""Tests of docker-runner as systemd calls it for a unit, with the stand-in for docker."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from proc import running, wait_until

from .runner import HARDENED, ID, IMAGE_ID, SMALL, UNIT, USER, settings_hash

TICK = ("--unit", f"{USER}-tick", "--once", USER, "tick")


def state_running(server):
    return f"running {IMAGE_ID} {settings_hash(server.root / f'etc/default/{USER}.env')}"


def test_a_unit_starts_its_container(server):
    """The container is detached, has a fixed name and its slot's folder at the same path, and logs to the journal; the
    unit ends with it. docker is called only twice, as each call costs as much as the rest of the start."""
    server.put("stub/code", "3")
    done = server(*UNIT)
    assert done.returncode == 3, done.stderr
    ran = server.ran()
    assert ran[:5] == ["run", "-d", "--log-driver=journald", "--log-opt", "tag={{.Name}}"]
    assert ["--name", f"{USER}-web-a", *HARDENED, *SMALL] == ran[ran.index("--name") :][:11]
    assert f"{server.root}/run/{USER}/a:/run/{USER}/a" in ran and ran[-2:] == [IMAGE_ID, "run"]
    assert (server.stub / "container").read_text().strip() == state_running(server)
    assert ran[7:11:2] == ["--label"] * 2
    assert ran[5:7] == ["--cidfile", f"{server.root}/run/docker-runner/{USER}-web-a"]
    assert "--rm" not in ran and "-i" not in ran
    assert [call[:1] for call in server.calls("run")] + server.calls("wait") == [["run"], ["wait", f"{USER}-web-a"]]
    assert len(server.calls()) == 2


def test_a_start_finds_out_what_is_in_its_way(server, listener):
    """If the note of a container is lost, as after a power cut, docker refuses its name: the container is removed, or
    adopted. Any other failure is retried once, or not at all if docker has already made a container."""
    server.put("stub/container", state_running(server).replace("running", "exited"))
    assert server(*UNIT).returncode == 0
    assert [call[0] for call in server.calls() if call[0] in ("run", "rm")] == ["run", "rm", "run"]
    server.put("run/docker-runner/daemon-web-a", "")  # as docker leaves it if docker is killed
    assert server(*UNIT).stderr.startswith("docker-runner: adopted ") and len(server.calls("run")) == 2
    for words, tries in (("", 2), ("late", 1)):
        shutil.rmtree(server.root / "run/docker-runner")
        for name in ("container", "log"):
            (server.stub / name).unlink(missing_ok=True)
        server.put("stub/refused", words)
        assert server(*UNIT).returncode == 125 and len(server.calls("run")) == tries


def test_a_start_without_an_engine_forgets_no_container(server):
    """A container with a note may still run: the start first asks for it, and a stop meanwhile finds the note."""
    note = server.put("run/docker-runner/daemon-web-a", ID + "\n")
    server.put("stub/down", "9999")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until(lambda: "does not answer" in process.output())
        assert note.read_text() == ID + "\n" and not server.calls("run")


def test_notes_that_nobody_may_write(server):
    (server.root / "run/docker-runner").symlink_to("nowhere")
    for words in (UNIT, ("shop", "shell")):
        done = server(*words)
        assert done.returncode == 77 and "no permission to write" in done.stderr and not server.calls("run")


@pytest.fixture
def listener(server, monkeypatch):
    """A socket that listens at web.sock of USER's slot a, and whose queue is full."""
    monkeypatch.chdir(server.root / f"run/{USER}/a")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as visitor:
        listening.bind("web.sock")
        listening.listen(0)
        visitor.connect("web.sock")
        yield listening


def test_a_unit_adopts_what_runs_as_wanted(server, listener):
    """A running container with this image and these settings is kept, and the unit waits for its end."""
    server.put("stub/container", state_running(server))
    done = server(*UNIT)
    assert done.returncode == 0 and "adopted" in done.stderr
    assert not (server.stub / "started").exists() and not server.calls("rm") and not server.calls("stop")
    assert (server.root / f"run/docker-runner/{USER}-web-a").read_text() == ID + "\n"


def test_a_web_that_nobody_can_reach_is_replaced(server, listener):
    """If nobody listens at web.sock, or the slot's folder was emptied, web is replaced, unless it boots; a worker needs
    no socket."""
    listener.close()
    for unit, runs in ((UNIT, 2), (UNIT, 3), (("--unit", f"{USER}-worker-a", *UNIT[2:]), 4)):
        server.put("stub/container", state_running(server))
        assert server(*unit).returncode == 0 and len(server.calls("run")) == runs
        Path("web.sock").unlink(missing_ok=True)
    Path("web.plan").write_text("")
    server.put("stub/container", state_running(server))
    assert "adopted" in server(*UNIT).stderr and len(server.calls("run")) == 4


@pytest.mark.parametrize(
    "change",
    [("running", "exited"), ("running", "created"), ("running", "paused"), ("4444", "5555"), (r"\w{4}$", "0000")],
)
def test_a_unit_replaces_any_other(server, change):
    """A dead container of this name, or one with another image or other settings, is stopped and removed first."""
    server.put("stub/container", re.sub(*change, state_running(server)))
    server.put(f"run/docker-runner/{USER}-web-a", ID + "\n")
    assert server(*UNIT).returncode == 0
    calls = [call[0] for call in server.calls() if call[0] in ("stop", "rm", "run")]
    assert calls[-2:] == ["rm", "run"] and ("stop" in calls) == (change[1] in ("paused", "5555", "0000")), calls


@pytest.mark.parametrize(
    "state, note, killed, runs",
    [
        ("exited", ID, True, 0),
        ("running", ID, True, 0),
        ("exited", ID, False, 1),
        ("created", ID, True, 1),
        (None, "", True, 1),
    ],
)
def test_a_command_by_the_clock_runs_once(server, state, note, killed, runs):
    """After a kill of docker-runner it is adopted, also with other settings or if it has ended: then its exit code
    counts. A new run begins if the killed one had not begun."""
    if state:
        server.put("stub/container", f"{state} {IMAGE_ID} 0000")
    server.put(f"run/docker-runner/{USER}-tick", note)
    flag = server.put(f"run/docker-runner/{USER}-tick.killed", "") if killed else None
    server.put("stub/code", "3")
    assert server(*TICK).returncode == 3 and len(server.calls("run")) == runs
    assert not flag or not flag.exists()


@pytest.mark.parametrize("client, container", [(True, "running  "), (False, "running  "), (True, "")])
def test_a_unit_waits_for_a_one_off_of_its_name(server, client, container):
    """It stops no command that an operator runs, also if that has lost its docker client or has no container yet, and
    starts after its end."""
    hold, hung = server.put("stub/hold", ""), server.put("stub/hung-wait", "")
    with running(server.command(USER, "tick"), env=server.env) as one_off:
        wait_until((server.stub / "pid").exists)
        if container:
            server.put("stub/container", container)
        if not client:
            one_off.kill()
            one_off.wait(30)  # then nobody has its lock
        with running(server.command(*TICK), env=server.env) as unit:
            wait_until(lambda: "tick already runs by hand: waiting" in unit.output())
            assert unit.poll() is None and not {"stop", "rm"} & {call[0] for call in server.calls()}
            for path in (server.stub / "container", hold, hung):
                path.unlink(missing_ok=True)
            assert unit.wait(30) == 0 and (server.stub / "started").exists()


@pytest.mark.parametrize("state", ["created", "exited", "dead"])
def test_a_stopped_container_of_anybody_only_holds_the_name(server, state):
    """It is removed, so that the unit does not meet the same conflict for ever; by a call that Docker refuses if the
    container runs meanwhile."""
    server.put("stub/container", f"{state}  ")
    done = server(*UNIT)
    assert done.returncode == 0 and (server.stub / "started").exists(), done.stderr
    assert server.calls("rm") == [["rm", ID]] and len(server.calls("run")) == 2


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_unit_stops_nobody_s_container(server, state):
    """One of its name that runs, or is paused: the unit waits for its end, and then removes it."""
    server.put("stub/container", f"{state}  ")
    hung = server.put("stub/hung-wait", "")
    with running(server.command(*UNIT), env=server.env) as unit:
        wait_until(lambda: "already runs by hand: waiting" in unit.output())
        assert unit.poll() is None and not {"stop", "rm"} & {call[0] for call in server.calls()}
        server.put("stub/container", "exited  ")
        hung.unlink()
        assert unit.wait(30) == 0 and server.calls("rm") == [["rm", ID]]


def test_a_slots_own_release_and_settings_come_first(server):
    """A unit uses SLOT.tag and SLOT.env if they exist, and otherwise the committed release and settings, as a one-off
    does. Beat has a tag and no folder."""
    settings = server.put(f"run/{USER}/a.env", "A=2\n")
    for slot in ("a", "beat"):
        server.put(f"run/{USER}/{slot}.tag", f"export TAG=build-43\nexport IMAGE_ID=sha256:{slot}\n")
        assert server("--unit", f"{USER}-{slot}", "--slot", slot, USER, "run").returncode == 0
        ran = server.calls("run")[-1]
        assert ran[-2] == f"sha256:{slot}" and (str(settings) in ran) == (slot == "a") == (f"/run/{USER}/" in str(ran))
        if slot == "a":
            assert settings_hash(settings) in (server.stub / "container").read_text()
        (server.stub / "container").unlink()
    server(USER, "migrate")
    assert server.calls("image")[-1][-1] == IMAGE_ID and str(settings) not in server.calls("run")[-1]


@pytest.mark.parametrize("calls", range(1, 6))
def test_a_unit_waits_for_the_engine(server, calls):
    """A unit waits for an engine that does not answer, at any call of its start, and reports this once."""
    server.put("stub/down", str(calls))
    done = server(*UNIT)
    assert done.returncode == 0 and len(server.calls("run")) == 2 and (server.stub / "started").exists()
    assert done.stderr.count("does not answer") == (calls > 2)


def test_a_stop_in_the_middle_of_a_start(server):
    """If TERM comes while docker starts the container, the start is finished first: then it has a name."""
    hold = server.put("stub/hold", "")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until((server.stub / "starting").exists)
        os.kill(process.pid, signal.SIGTERM)
        assert process.poll() is None
        hold.unlink()
        assert process.wait(30) == 143
    assert (server.stub / "started").exists() and not server.calls("wait")


@pytest.mark.parametrize("by", ["a signal", "a stop"])
def test_a_unit_of_a_hung_engine_can_be_stopped(server, listener, by):
    """If docker hangs while the unit waits for its container's end, TERM ends docker-runner at once. If a stop removes
    the container just after the engine is back, the unit does not fail."""
    server.put("stub/container", state_running(server))
    server.put("stub/fail-wait", "")
    hung = server.put("stub/hung-wait", "")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until(lambda: server.calls("wait"))
        if by == "a stop":
            server("--stop", "daemon-web-a")
            hung.unlink()
        else:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143 and "but not by its unit" not in process.output()
    hung.unlink(missing_ok=True)
