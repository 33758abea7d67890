"""A connection to one host: by ssh to the agent, or for a single command."""

import asyncio
import base64
import contextlib
import getpass
import socket
import time
from collections.abc import Sequence
from typing import Any

from ..agent.shell import Command
from ..config import Host
from ..config.ssh import Ssh
from ..errors import HostProblem, Lost
from . import bootstrap, child
from .child import Done, start
from .conversation import Answer, Conversation, result, why_ended
from .validate import Tell

READ = 60  # seconds to wait for the answer to a request that changes nothing
LOCK = 180  # seconds to wait for the lock: the stop of an old slot may hold it for two minutes
END = 60  # seconds for releasing the lock


class Connection(Conversation):
    """A connection to a host's agent. Several tasks may call `ask` in parallel. `tell` gets the agent's events.
    `share`: the path of ssh's control socket, needed to forward ports, or ""."""

    def __init__(self, host: Host, ssh: Ssh, app: str, tell: Tell = lambda event: None, share: str = "") -> None:
        super().__init__(tell)
        self.words = ssh.command(host.address, bootstrap.command(app), share)
        self.dead_after = 30.0
        self.locking: asyncio.Future[Answer] | None = None  # done when the lock has ended
        self.tasks: list[asyncio.Task[None]] = []  # the task that reads answers, then the task that sends heartbeats

    async def open(self, limit: float = READ) -> "Connection":
        """Start the agent. Raise HostProblem if it does not start within `limit` seconds."""
        began = self._mark()
        try:
            self.process = await start(self.words)
        except OSError as error:  # too many processes or open files on this machine
            raise HostProblem(f"cannot start ssh on this machine: {error.strerror}") from None
        self.tasks = [asyncio.create_task(self._read())]
        try:
            await self._outcome(began, limit)
        except HostProblem:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        self._mark_lost(Lost("the connection is closed"))
        if hasattr(self, "process"):  # only if `open` started it
            await self.process.close()

    # ---- the deployer's calls ----

    async def ask(self, do: str, timeout: float = READ, **args: Any) -> Any:
        """Send the request `do`, and return the agent's answer. Raise HostProblem if the request failed, Lost if no
        answer came within `timeout` seconds. Cancelling this call does not stop the agent."""
        return result(await self._outcome(self._send(do, args), timeout))

    async def lock(self, description: str, dead_after: float, bare: bool = False) -> None:
        """Take the host's lock; then the agent may change the host. Raise HostProblem if the lock is refused. After
        `dead_after` seconds without a message, the agent takes a deploy back, unless it has promised to commit.
        `bare`: accept a host without the app."""
        self.dead_after, works = dead_after, self._mark()
        args = {"description": description, "dead_after": dead_after, **({"bare": True} if bare else {})}
        self.locking = refused = self._send("lock", args)
        refused.add_done_callback(lambda _: self._stop_beating())
        try:
            come, _ = await asyncio.wait({works, refused}, timeout=LOCK, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.abort()  # other deployers may wait for the lock
            raise
        if not come:
            raise Lost(f"no answer within {LOCK} s")
        if works not in come:
            self.locking = None
            self.marks.clear()
            raise lock_refusal(result(refused.result()))
        works.result()
        if not refused.done():
            self.tasks.append(asyncio.create_task(self._beat()))

    async def command(self, script: str, input: bytes = b"", timeout: float = 600) -> Done:
        """Run a shell script as root, whatever its exit code. Raise HostProblem after `timeout` s or 1 MB of output."""
        answer: Command = await self.ask("command", timeout + 10, script=script, input=encoded(input), seconds=timeout)
        return Done(answer["code"], base64.b64decode(answer["out"]), base64.b64decode(answer["err"]))

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Write and sync a file atomically, under the lock. Raise HostProblem if that fails."""
        await self.ask("put", 120, path=path, content=encoded(content), mode=mode, owner=owner, group=group)

    async def end(self) -> None:
        if self.locking is not None and not self.lost and not self.locking.done():
            self._stop_beating()
            self._send("end", {})
            await self.at_end(END)

    def abort(self, **why: str) -> None:
        """Tell the agent to take the host's changes back. `why` may give the cause. `at_end` waits for the result."""
        self._stop_beating()  # the agent is about to end: it will answer no more
        if self.locking is not None and not self.lost and not self.locking.done():
            self._line({"abort": why})

    async def at_end(self, timeout: float) -> Answer | None:
        """Wait until the agent releases the lock. Return its answer; None after `timeout` s; {} without a lock."""
        if self.locking is None:
            return {}
        with contextlib.suppress(HostProblem):
            return result(await self._outcome(self.locking, timeout))
        return None

    # ---- the lock ----

    async def _beat(self) -> None:
        """Send "alive" regularly. After `dead_after` seconds without a message, end the connection."""
        silent = 0.0
        pause = max(0.5, min(5.0, self.dead_after / 5))
        while silent < self.dead_after:
            self.heard = False
            self._line({"do": "alive"})
            await asyncio.sleep(pause)
            silent = 0.0 if self.heard else silent + pause
        self._mark_lost(Lost(f"the host was silent for {self.dead_after} s"))
        self.process.kill()

    def _stop_beating(self) -> None:
        for task in self.tasks[1:]:
            task.cancel()


async def ask_once(
    host: Host, ssh: Ssh, app: str, do: str, timeout: float = READ, limit: float = READ, **args: Any
) -> Any:
    """Connect to a host's agent within `limit` seconds, send it one request, and return the answer. Raise HostProblem,
    or OSError, as `open` and `ask` do."""
    connection = Connection(host, ssh, app)
    try:
        await connection.open(limit)
        return await connection.ask(do, timeout, **args)
    finally:
        await connection.close()


def who(action: str) -> str:
    """Return who does what since when, as hosts take it: one printable line."""
    name = ""
    with contextlib.suppress(OSError, KeyError):
        name = f" by {getpass.getuser()} from {socket.gethostname()}"
    text = f"{action}{name} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
    return "".join(character if character.isprintable() else "?" for character in text)[:300]


def lock_refusal(answer: Answer) -> HostProblem:
    if answer.get("locked"):
        return HostProblem(f"locked: {answer['locked']}", locked=True)
    return HostProblem(f"cannot be locked: {' / '.join(answer.get('errors', [])) or 'systemd-run failed'}")


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def run(
    host: Host, ssh: Ssh, words: Sequence[str], input: bytes = b"", timeout: float = 60, check: bool = False
) -> Done:
    """Run a command as root over a new ssh connection; the host needs no Python. Raise HostProblem if the host cannot
    be reached, or after `timeout` seconds. `check`: also raise HostProblem if the exit code is not 0."""
    ended = await child.run(ssh.command(host.address, words), input, timeout)
    if ended.code == 255 or (check and ended.code):
        raise HostProblem(why_ended(ended.code, ended.err))
    return ended
