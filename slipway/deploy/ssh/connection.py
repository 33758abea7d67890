"""The one ssh connection to a host, and the agent at its other end."""

import asyncio
import base64
import contextlib
import functools
import getpass
import hashlib
import socket
import time
import zlib
from collections.abc import Sequence
from typing import Any

from ..agent import bundle
from ..agent.answers import Command
from ..config import Host
from ..config.ssh import Ssh
from ..errors import HostProblem, Lost
from . import process
from .conversation import WANTED, Answer, Conversation, result, why_ended
from .process import Done, start
from .validate import Tell

# Runs the agent that an earlier command has left in the file that the last word names, or asks for it. The file counts
# where root alone writes in its folder; elsewhere nothing is kept, as nothing is below /dev/null.
BOOT = f"""import os, sys, zlib
def ours(folder):
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o22
def kept():
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return b""
    return text if "%08x" % zlib.crc32(text) in name else b""
def read(size, text=b""):
    while len(text) < size:
        text += os.read(0, size - len(text)) or sys.exit(1)
    return text
def sent():
    os.write(1, {WANTED!r} + b"\\n")
    return zlib.decompress(read(int(read(9))))
folder, name = os.path.split(sys.argv.pop())
path = os.path.join(folder if ours(folder) else os.devnull, name)
old = kept()
text = old or sent()
exec(compile(text, path, "exec"), {{"__name__": "__main__", "__file__": path, "PROGRAM": text, "NEW": not old}})"""
KEPT = "/run/{app}"  # the folder in which a host keeps the agent
READ = 60  # seconds for an answer that changes nothing
LOCK = 180  # seconds for the lock: the agent waits two minutes for a retirement
END = 60  # seconds for giving it back


class Connection(Conversation):
    """A connection that `open` makes, in one event loop. Several tasks may `ask` at once. `tell` gets the agent's
    events. `share`, the path of a socket, lets the connection forward ports."""

    def __init__(self, host: Host, ssh: Ssh, app: str, tell: Tell = lambda event: None, share: str = "") -> None:
        super().__init__(tell)
        self.words = ssh.command(host.address, ["python3", "-I", "-S", "-u", "-c", BOOT, "read", app,
                                                f"{KEPT.format(app=app)}/{name()}"], share, owner=bool(share))
        self.dead_after = 30.0
        self.locking: asyncio.Future[Answer] | None = None  # done when the lock has ended: how
        self.tasks: list[asyncio.Task[None]] = []  # the one that reads, then the one that says "alive"

    async def open(self, limit: float = READ) -> "Connection":
        """Start the agent, within `limit` seconds. Raises HostProblem."""
        began = self._mark()
        try:
            self.process = await start(self.words)
        except OSError as error:  # this machine has no room for one more
            raise HostProblem(f"ssh does not start here: {error.strerror}") from None
        self.tasks = [asyncio.create_task(self._read())]
        try:
            await self._outcome(began, limit)
        except HostProblem:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """End the connection, and the agent with it. May be called at any time, more than once."""
        for task in self.tasks:
            task.cancel()
        self._lose(Lost("the connection is closed"))
        if hasattr(self, "process"):  # `open` has started it
            await self.process.close()

    def _send_agent(self) -> None:
        program = packed()
        self.process.write(b"%8d\n" % len(program) + program)

    # ---- what the deployer does with it ----

    async def ask(self, do: str, timeout: float = READ, **args: Any) -> Any:
        """The agent's answer to `do`. Raises HostProblem when the agent could not do it, Lost without an answer within
        `timeout` seconds: then nobody knows whether it was done. Cancelling this does not stop the agent."""
        return result(await self._outcome(self._send(do, args), timeout))

    async def lock(self, description: str, dead_after: float, bare: bool = False) -> None:
        """Take the host's lock: the agent may change things from now on, and takes them back after `dead_after` s of
        silence. `bare`: the app may not be provisioned yet. Raises HostProblem, `locked` when somebody else has it."""
        self.dead_after, works = dead_after, self._mark()
        args = {"description": description, "dead_after": dead_after, **({"bare": True} if bare else {})}
        self.locking = refused = self._send("lock", args)
        refused.add_done_callback(lambda _: self._stop_beating())
        try:
            come, _ = await asyncio.wait({works, refused}, timeout=LOCK, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.abort()  # somebody may be waiting for this lock
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
        """Run a shell script on the host as root; output up to 1 MB, any exit code. Raises HostProblem."""
        answer: Command = await self.ask("command", timeout + 10, script=script, input=encoded(input), seconds=timeout)
        return Done(answer["code"], base64.b64decode(answer["out"]), base64.b64decode(answer["err"]))

    async def put(self, path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Write a file on the host, under the lock: whole, synced, at once with owner and mode. Raises HostProblem."""
        await self.ask("put", 120, path=path, content=encoded(content), mode=mode, owner=owner, group=group)

    async def end(self) -> None:
        """Give the lock back, and keep what was done."""
        if self.locking is not None and not self.lost and not self.locking.done():
            self._stop_beating()
            self._send("end", {})
            await self.at_end(END)

    def abort(self, **why: str) -> None:
        """Tell the host to take back what was done. Does not wait: `at_end` does."""
        self._stop_beating()  # the unit that would answer is about to end
        if self.locking is not None and not self.lost and not self.locking.done():
            self._line({"abort": why})

    async def at_end(self, timeout: float) -> Answer | None:
        """Return the agent's LockEnd; None without it in `timeout` seconds; {} without a lock."""
        if self.locking is None:
            return {}
        with contextlib.suppress(HostProblem):
            return result(await self._outcome(self.locking, timeout))
        return None

    # ---- the lock ----

    async def _beat(self) -> None:
        """Say "alive" regularly; the agent does too. A host that says nothing for `dead_after` seconds is lost."""
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


@functools.cache
def packed() -> bytes:
    """The agent as it is sent."""
    return zlib.compress(bundle().encode(), 9)


@functools.cache
def name() -> str:
    """The name of the file in which a host keeps this agent: of which hash it is, and which CRC32 shows it whole."""
    text = bundle().encode()
    return f"agent-{hashlib.sha256(text).hexdigest()[:8]}-{zlib.crc32(text):08x}.py"


def who(action: str) -> str:
    """The lock's description: what is done, by whom, from where and since when."""
    with contextlib.suppress(OSError, KeyError):
        name = getpass.getuser()
        return f"{action} by {name} from {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
    return f"{action} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"


def lock_refusal(answer: Answer) -> HostProblem:
    """The problem in the agent's answer to a lock that was not taken."""
    if answer.get("locked"):
        return HostProblem(f"locked: {answer['locked']}", locked=True)
    return HostProblem(f"cannot be locked: {' / '.join(answer.get('said', [])) or 'systemd-run failed'}")


def encoded(content: bytes) -> str:
    """Bytes as messages carry them: in base64."""
    return base64.b64encode(content).decode()


async def run(host: Host, ssh: Ssh, words: Sequence[str], input: bytes = b"", timeout: float = 60) -> Done:
    """Run a command on a host as root, over an ssh connection of its own and without Python; how it ended, whatever its
    exit code. Raises HostProblem where the host can't be reached, or after `timeout` seconds."""
    ended = await process.run(ssh.command(host.address, words), input, timeout)
    if ended.code == 255:
        raise HostProblem(why_ended(255, ended.err))
    return ended
