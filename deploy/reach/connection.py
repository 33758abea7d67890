"""The one ssh connection to a host, and the agent at its other end."""

import asyncio
import base64
import contextlib
import getpass
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..agent import bundle
from ..agent.answers import Command
from ..decide.config import Host
from ..decide.ssh import Ssh
from ..errors import HostProblem, Lost
from . import process
from .answers import Event
from .conversation import Answer, Conversation, done, why
from .process import Done, start

# Reads the agent and runs it; what it says begins after the mark, as a login may greet first.
BOOT = """import os
def read(size, text=b""):
    while len(text) < size:
        text += os.read(0, size - len(text)) or exit(1)
    return text
text = read(int(read(9)))
exec(compile(text, "<agent>", "exec"), {"__name__": "__main__", "PROGRAM": text.decode()})"""
READ = 60  # seconds that reading may take
LOCK = 180  # the agent waits two minutes for a retirement


class Connection(Conversation):
    """Of one event loop, and there when `open` has returned. Several tasks may `ask` at once. `events` hears what the
    agent tells meanwhile; `share`, the path of a socket, lets the connection forward ports."""

    def __init__(self, host: Host, ssh: Ssh, app: str,
                 events: Callable[[Host, Event], None] = lambda host, event: None, share: str = "") -> None:
        super().__init__()
        self.host, self.events = host, events
        self.words = ssh.command(host.address, ["python3", "-I", "-S", "-u", "-c", BOOT, "read", app], share,
                                 owner=bool(share))
        self.dead_after = 30.0
        self.locking: asyncio.Future[Answer] | None = None  # what became of the lock, when it has ended
        self.tasks: list[asyncio.Task[None]] = []

    def told(self, event: Event) -> None:
        self.events(self.host, event)

    async def open(self, limit: float = READ) -> "Connection":
        """Start the agent. Raises HostProblem."""
        began = self._mark()
        self.process = await start(self.words)
        self.tasks = [asyncio.create_task(self._read())]
        program = bundle().encode()
        self.process.write(b"%8d\n" % len(program) + program)
        try:
            await self._outcome(began, limit)
        except HostProblem:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """End the connection, and the agent with it. May come at any time, more than once."""
        for task in self.tasks:
            task.cancel()
        self._lose(Lost("the connection is closed"))
        if hasattr(self, "process"):  # it has come so far
            await self.process.close()

    # ---- what the deployer does with it ----

    async def ask(self, do: str, timeout: float = READ, **args: Any) -> Any:
        """Have the agent do something; its answer. Raises HostProblem when it could not, Lost without an answer: then
        nobody knows whether it was done. Who no longer waits for an answer leaves the agent doing it."""
        return done(await self._outcome(self._send(do, args), timeout))

    async def lock(self, description: str, dead_after: float, bare: bool = False) -> None:
        """Take the host's lock: from now on the agent may change things, and the host takes itself back when it hears
        nothing for `dead_after` seconds. Raises HostProblem, `locked` when somebody else has it. `bare`: the app need
        not be provisioned yet."""
        self.dead_after, works = dead_after, self._mark()
        args = {"description": description, "dead_after": dead_after, **({"bare": True} if bare else {})}
        self.locking = refused = self._send("lock", args)
        refused.add_done_callback(lambda _: self._stop_beating())
        come, _ = await asyncio.wait({works, refused}, timeout=LOCK, return_when=asyncio.FIRST_COMPLETED)
        if not come:
            raise Lost(f"no answer within {LOCK} s")
        if works not in come:
            self.locking = None
            self.marks.clear()
            raise why_not(done(refused.result()))
        works.result()
        if not refused.done():
            self.tasks.append(asyncio.create_task(self._beat()))

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done:
        """Run a shell script on the host as root; how it ended, whatever its exit code. Raises HostProblem: also once
        the lock has ended that this connection had. What it says may be 1 MB."""
        answer: Command = await self.ask("command", timeout + 10, script=script, input=encoded(input), seconds=timeout)
        return Done(answer["code"], base64.b64decode(answer["out"]), base64.b64decode(answer["err"]))

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Write a file on the host, as root and only under the lock: whole, on its disk, and never for a moment with
        another owner or mode."""
        await self.ask("put", 120, path=path, content=encoded(content), mode=mode, owner=owner, group=group)

    async def end(self, timeout: float = 60) -> Answer | None:
        """Give the lock back after all went well."""
        if self.locking is None or self.lost:
            return None
        with contextlib.suppress(HostProblem):
            if not self.locking.done():
                self._stop_beating()
                self._send("end", {})
            return await self._end_of_lock(timeout)
        return None

    def abort(self, **why: str) -> None:
        """Have the host take itself back, now. Does not wait: see `aborted`."""
        self._stop_beating()  # the unit that would answer is about to end
        if self.locking is not None and not self.lost and not self.locking.done():
            self._line({"abort": why})

    async def aborted(self, timeout: float) -> Answer | None:
        """How the host is after an abort; None when that cannot be known."""
        if self.locking is None:
            return {}
        with contextlib.suppress(HostProblem):
            return await self._end_of_lock(timeout)
        return None

    # ---- the lock ----

    async def _beat(self) -> None:
        """Every now and then a word each way; without one from there within `dead_after` the host counts as lost."""
        silent, pause = 0.0, max(0.5, min(5.0, self.dead_after / 5))
        while silent < self.dead_after:
            self.heard = False
            self._line({"do": "alive"})
            await asyncio.sleep(pause)
            silent = 0.0 if self.heard else silent + pause
        self._lose(Lost(f"no word for {self.dead_after} s"))
        self.process.kill()

    def _stop_beating(self) -> None:
        for task in self.tasks[1:]:
            task.cancel()

    async def _end_of_lock(self, timeout: float) -> Answer:
        assert self.locking is not None
        return done(await self._outcome(self.locking, timeout))


def who(action: str) -> str:
    """What a lock says of its holder: who does it, from where and since when."""
    with contextlib.suppress(OSError, KeyError):
        name = getpass.getuser()
        return f"{action} by {name} from {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
    return f"{action} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"


def why_not(answer: Answer) -> HostProblem:
    """Why the lock could not be taken, by what the agent says."""
    if answer.get("locked"):
        return HostProblem(f"locked: {answer['locked']}", locked=True)
    return HostProblem(f"cannot be locked: {' / '.join(answer.get('said', [])) or 'systemd-run failed'}")


def encoded(content: bytes) -> str:
    """Bytes as they travel."""
    return base64.b64encode(content).decode()


async def run(host: Host, ssh: Ssh, words: Sequence[str], input: bytes = b"", timeout: float = 60) -> Done:
    """Run words at a host as root over a connection of their own, where no Python is needed; how they ended. Raises
    HostProblem where it can't be reached."""
    ended = await process.run(ssh.command(host.address, words), input, timeout)
    if ended.code == 255:
        raise HostProblem(why(255, ended.err))
    return ended
