"""A connection to a host: by a stand-in for ssh to the real agent, and to hosts that break the protocol."""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from types import SimpleNamespace

import pytest

from deployer.agents import agents, line
from deployer.clock import run
from proc import ROOT, wait_until
from proc import run as finish
from slipway.deploy.config import Host
from slipway.deploy.config.ssh import Ssh
from slipway.deploy.errors import HostProblem, Lost
from slipway.deploy.ssh import bootstrap, child, connection
from slipway.deploy.ssh.bootstrap import MARK, WANTED
from slipway.deploy.ssh.connection import Connection


def talk(name, work, limit=20.0, ssh=Ssh()):
    """Return the result of work(connection) for a connection by the stand-in for ssh; close the connection."""
    return asyncio.run(whole(Connection(Host(name, name), ssh, "no-such-app-here"), work, limit))


def speak(hear, work):
    """Return the result of work(connection) for a connection to a stand-in for the agent, on a simulated clock."""
    with agents(lambda host: hear):
        return run(whole(Connection(Host("web1", "web1"), Ssh(), "shop"), work))


async def whole(made, work, limit=20.0):
    try:
        return await work(await made.open(limit))
    finally:
        await made.close()


@pytest.fixture
def kept(stub, monkeypatch):
    """The folder in which a host keeps the agent."""
    (stub / "kept").mkdir(0o700)
    monkeypatch.setattr(bootstrap, "KEPT", str(stub / "kept"))
    monkeypatch.setenv("TMPDIR", str(stub))
    return stub / "kept"


def none_is_left(kept):
    """Wait until no temporary folder is left: the agent removes its own when it ends, after its connection."""
    return wait_until(lambda: not [*kept.parent.glob("agent-*")], what="the agents have removed their folders")


def sendings(monkeypatch, name="fine"):
    """Run a command over a connection; return the answer, and how often the agent was sent."""
    sent = []
    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "sent", lambda: sent.append(1) or AGENT)
        return talk(name, lambda made: made.ask("command", script=":")), len(sent)


AGENT, DONE = bootstrap.sent(), {"code": 0, "out": "", "err": ""}  # DONE: the answer to `sendings`


def test_a_host_keeps_the_agent(kept, monkeypatch):
    assert sendings(monkeypatch, "greeting") == (DONE, 1)
    (agent,) = kept.iterdir()
    caches = [path for path in agent.rglob("*.pyc") if path.stem.startswith("serve.")]
    assert caches and agent.stat().st_mode & 0o777 == 0o700
    before = caches[0].stat().st_mtime_ns
    for name in ("fine", "greeting"):
        assert sendings(monkeypatch, name) == (DONE, 0)
    assert caches[0].stat().st_mtime_ns == before and [*kept.iterdir()] == [agent]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: kept.chmod(0o770),
        lambda kept: kept.chmod(0o702),
        lambda kept: kept.rename(kept.parent / "aside") and kept.symlink_to(kept.parent / "aside"),
        shutil.rmtree,
    ],
    ids=["group", "others", "link", "none"],
)
def test_only_root_s_folder_counts(kept, monkeypatch, spoil):
    """If others can write to the folder, or it is missing, it is not used; the deployer sends the agent."""
    sendings(monkeypatch)
    (agent,) = kept.iterdir()
    os.utime(agent, (1, 1))
    spoil(kept)
    assert sendings(monkeypatch) == sendings(monkeypatch) == (DONE, 1)
    assert not kept.exists() or ([*kept.iterdir()] == [agent] and agent.stat().st_mtime == 1)
    assert none_is_left(kept)


def test_an_agent_that_cannot_be_kept_is_no_failure(kept, monkeypatch):
    (kept / bootstrap.folder_name()).touch()  # no folder can get this name
    assert sendings(monkeypatch) == (DONE, 1) and len([*kept.iterdir()]) == 1
    assert none_is_left(kept)


@pytest.mark.parametrize(
    "script, message",
    [("sleep 60", "did not end within 0.2 s"), ("head -c 2000000 /dev/zero", "prints more than 1 MB")],
)
def test_a_script_that_goes_too_far(stub, script, message):
    async def work(made):
        with pytest.raises(HostProblem, match=message):
            await made.command(script, timeout=0.2 if "sleep" in script else 20)
        return await made.command("cat; echo x >&2; exit 3", b"\xff\n")

    done = talk("fine", work)
    assert (done.code, done.out, done.err) == (3, b"\xff\n", b"x\n")


def test_nothing_is_done_without_the_lock(stub):
    async def work(made):
        with pytest.raises(HostProblem):
            await made.put(str(stub / "file"), b"x")
        with pytest.raises(HostProblem):
            await made.lock("provision by ann", 30)
        with pytest.raises(HostProblem, match=r"^the lock is lost: see journalctl -u no-such-app-here-deploy.service"):
            await made.command(f"touch {stub}/file")

    talk("fine", work)
    assert not (stub / "file").exists()


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "unreachable",
            "cannot be reached: ssh: connect to host unreachable port 22: Connection refused; try ssh by hand",
        ),
        ("password", "sudo: a password is required: log in as root, or set NOPASSWD for this user in sudoers"),
        ("cut", "cannot be reached: Connection to cut closed; try ssh by hand"),
    ],
)
def test_why_a_host_cannot_be_used(stub, name, message):
    with pytest.raises(HostProblem) as caught:
        talk(name, lambda made: made.ask("facts"))
    assert caught.value.args == (message,)


@pytest.mark.parametrize(
    "name, limit, message, direct",
    [
        ("silent", 0.5, "no answer within 0.5 s", "no answer within 0.5 s"),
        ("endless", 20, "invalid answer .a line of more than 4 MB", "invalid answer .more than 16 MB"),
    ],
)
def test_a_host_that_says_nothing_or_too_much_is_given_up(stub, name, limit, message, direct):
    with pytest.raises(Lost, match=message):
        talk(name, lambda made: made.ask("facts"), limit)
    with pytest.raises(HostProblem, match=direct):
        asyncio.run(connection.run(Host(name, name), Ssh(), ["true"], timeout=limit))


@pytest.mark.parametrize(
    "times, limit, message",
    [(1, 0.5, "no answer within 0.5 s"), (2, 20, "invalid answer .a second request for the agent's code")],
)
def test_a_host_gets_the_agent_once(times, limit, message):
    words = ["sh", "-c", f"echo '{WANTED.decode()}';" * times + " exec sleep 60"]
    began = time.monotonic()
    with pytest.raises(Lost, match=message):
        talk("web1", lambda made: made.ask("facts"), limit, SimpleNamespace(command=lambda *_, **more: words))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "expected, text",
    [
        (b"{\n", "not JSON"),
        (b'{"id": 9, "ok": {}}\n', "an answer without a request"),
        (b'{"id": 1, "ok": {"state": 1}}\n', "decide.ok.state is not one of"),
        (MARK + b"\n", "the agent started twice"),
    ],
)
def test_answers_that_make_no_sense(expected, text):
    with pytest.raises(Lost, match="invalid answer") as caught:
        speak(lambda message: [expected], lambda made: made.ask("decide", id="x"))
    assert text in str(caught.value)


def test_an_answer_that_comes_too_late_disturbs_nobody():
    late = []

    def hear(message):
        late.append(line({"id": message["id"], "ok": {"number": message["id"]}}))
        return late if message["id"] == 2 else []

    async def work(made):
        with pytest.raises(Lost, match="no answer within 5 s"):
            await made.ask("ready", 5)
        return await made.ask("ready", 5)

    assert speak(hear, work) == {"number": 2}


def test_who_has_the_lock_is_told():
    async def work(made):
        await made.lock("deploy v2", 30)

    for answer, said in (
        ({"locked": "deploy v1 by ann"}, "locked: deploy v1 by ann"),
        ({"locked": None, "errors": ["no room"]}, "cannot be locked: no room"),
    ):
        with pytest.raises(HostProblem) as caught:
            speak(lambda message: [line({"id": message["id"], "ok": answer})], work)
        assert str(caught.value) == said and caught.value.locked == bool(answer["locked"])


def test_who_does_not_wait_for_a_lock_lets_go_of_it():
    said = []

    async def work(made):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await made.lock("deploy v2", 30)

    speak(lambda message: said.append("abort" if "abort" in message else message["do"]) or [], work)
    assert said == ["lock", "abort"]


@pytest.mark.parametrize("alive", [True, False])
def test_a_host_that_falls_silent_under_its_lock_is_lost(alive):
    def hear(message):
        if message["do"] == "lock":
            return [MARK + b"\n"]
        return [line({"alive": True})] if alive and message["do"] == "alive" else []

    async def work(made):
        await made.lock("deploy v2", 30)
        with pytest.raises(Lost) as caught:
            await made.ask("ready", 100)
        return str(caught.value), asyncio.get_running_loop().time()

    said, seconds = speak(hear, work)
    assert said == ("no answer within 100 s" if alive else "the host was silent for 30 s")
    assert seconds >= 100 if alive else 30 <= seconds < 40


def program(script, work):
    """Run a script; return the result of work(process), and close the process."""

    async def started():
        made = await child.start(["sh", "-c", script])
        try:
            return await work(made)
        finally:
            await made.close(0)

    return asyncio.run(started())


def test_what_a_program_has_said_is_not_lost_with_it():
    async def work(started):
        with contextlib.suppress(ChildProcessError):  # a thread may have reaped it already
            os.waitid(os.P_PID, started.transport.get_pid(), os.WEXITED | os.WNOWAIT)
        started.write(b"more")
        return [line async for line in started.lines()], await started.ended(10), started.err

    assert program("echo bye; echo why >&2; exit 3", work) == ([b"bye\n"], 3, b"why\n")


def test_a_program_is_apart_and_its_stderr_bounded(caplog):
    async def work(started):
        assert os.getsid(started.transport.get_pid()) != os.getsid(0)
        started.write(b"\n")
        await started.ended(10)
        for _ in range(9):
            started.write(b"more")
        await started.close(0)
        return len(started.err), started.err[-4:]

    said = program("read line; head -c 200000 /dev/zero >&2; echo end >&2", work)
    assert said == (child.KEPT, b"end\n") and not caplog.records


def test_a_program_that_leaves_another_behind_is_not_waited_for():
    began = time.monotonic()
    assert program("sleep 60 & exit 3", lambda started: started.ended(10)) == 3 and time.monotonic() - began < 30


def test_a_program_ends_though_its_end_is_not_waited_for():
    async def work(started):
        closing = asyncio.create_task(started.close(60))
        await asyncio.sleep(0.1)
        closing.cancel()
        await asyncio.wait({closing})
        await started.closed
        return await started.ended()

    assert program("exec sleep 60", work) == -9


def test_the_end_waits_for_no_thread(tmp_path):
    script = (
        "import asyncio, threading\nfrom slipway.deploy.ssh.child import in_thread\nasync def work():\n"
        "    await asyncio.wait({asyncio.ensure_future(in_thread(threading.Event().wait))}, timeout=0.2)\n"
        "asyncio.run(work())"
    )
    began = time.monotonic()
    done = finish([sys.executable, "-c", script], cwd=ROOT, timeout=30)
    assert (done.returncode, done.stderr) == (0, "") and time.monotonic() - began < 10


def test_a_word_that_comes_when_the_lock_has_just_ended_disturbs_no_agent(stub):
    async def work(made):
        made._line({"do": "alive"})
        made._line({"abort": {"cause": "told to"}})
        return await made.ask("command", script=":")

    assert talk("fine", work) == DONE
