"""The one ssh connection to a host, and the agent at its other end."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from . import answers, process
from .agent import bundle
from .config import Host
from .errors import HostProblem, Lost, Nonsense
from .process import Done, Process, start
from .shapes import Command, Event
from .ssh import Ssh

MARK = b"--8<-- slipway"
# Reads the agent and runs it; what it says begins after the mark, as a login may greet first.
BOOT = """import os
def read(size, text=b""):
    while len(text) < size:
        text += os.read(0, size - len(text)) or exit(1)
    return text
text = read(int(read(9)))
exec(compile(text, "<agent>", "exec"), {"__name__": "__main__", "PROGRAM": text.decode()})"""
LOOK = 60  # seconds that reading may take
LOCK = 180  # the agent waits two minutes for a retirement

Answer = dict[str, Any]


class Connection:
    """Of one event loop, and there when `open` has returned. Several tasks may `ask` at once. `events` hears what the
    agent tells meanwhile; `share`, the path of a socket, lets the connection forward ports."""

    def __init__(self, host: Host, ssh: Ssh, app: str,
                 events: Callable[[Host, Event], None] = lambda host, event: None, share: str = "") -> None:
        self.host, self.events = host, events
        self.words = ssh.command(host.address, ["python3", "-I", "-S", "-u", "-c", BOOT, "look", app], share,
                                 owner=bool(share))
        self.process: Process
        self.lost: HostProblem | None = None
        self.number, self.dead_after, self.heard, self.began = 0, 30.0, False, False
        self.asked: dict[int, tuple[str, asyncio.Future[Answer]]] = {}
        self.marks: list[asyncio.Future[Answer]] = []  # of looking, and of working, until they come
        self.locking: asyncio.Future[Answer] | None = None  # what became of the lock, when it has ended
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self, limit: float = LOOK) -> "Connection":
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

    async def ask(self, do: str, timeout: float = LOOK, **args: Any) -> Any:
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
        come, _ = await asyncio.wait({works, refused}, timeout=LOCK, return_when=asyncio.FIRST_COMPLETED)
        if not come:
            raise Lost(f"no answer within {LOCK} s")
        if works not in come:
            self.locking = None
            raise why_not(done(refused.result()))
        works.result()
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

    # ---- asking ----

    def _send(self, do: str, args: Answer) -> "asyncio.Future[Answer]":
        self.number += 1
        future = asyncio.get_running_loop().create_future()
        if self.lost:
            fail(future, self.lost)
        else:
            self.asked[self.number] = do, future
            self._line({"id": self.number, "do": do, "args": args})
        return future

    async def _outcome(self, future: "asyncio.Future[Answer]", timeout: float) -> Answer:
        """What comes of a question. One that nobody waits for any more is not cancelled: its answer may still come."""
        await asyncio.wait({future}, timeout=timeout)
        if not future.done():
            raise Lost(f"no answer within {timeout:g} s")
        return future.result()

    async def _end_of_lock(self, timeout: float) -> Answer:
        assert self.locking is not None
        return done(await self._outcome(self.locking, timeout))

    def _mark(self) -> "asyncio.Future[Answer]":
        """What comes when the agent begins to look, or to work."""
        mark: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.marks.append(mark)
        return mark

    # ---- lines ----

    def _line(self, message: Answer) -> None:
        self.process.write(json.dumps(message).encode() + b"\n")

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

    async def _read(self) -> None:
        lost: HostProblem = Lost("the connection is closed")
        try:
            async for line in self.process.lines():
                self._hear(line)
            lost = Lost(why(await self.process.ended(10), self.process.said))
        except Nonsense as problem:
            self.process.kill()
            lost = problem
        except Exception as error:
            lost = Lost(f"its answers could not be taken: {error!r}")
        finally:  # however this ends: nobody waits for an answer that nobody reads
            self._lose(lost)

    def _hear(self, line: bytes) -> None:
        """A line of the host. What comes before the first mark is a login's greeting."""
        if line.rstrip() == MARK:
            if not self.marks:
                raise Nonsense("it begins once more")
            self.began = True
            self.marks.pop(0).set_result({})
        elif self.began:
            self._take(answers.parse(line))

    def _take(self, message: Answer) -> None:
        self.heard = True
        if "event" in message:
            self.events(self.host, answers.event(message))
        elif "alive" not in message:
            number = message.get("id")
            do, future = self.asked.pop(number, ("", None)) if type(number) is int else ("", None)
            if future is None:
                raise Nonsense("an answer to nothing that was asked")
            try:
                answers.answer(message, do)
            except Nonsense as problem:
                fail(future, problem)
                raise
            if do == "lock":  # what looked before the lock was taken goes on looking
                self._stop_beating()
                self._fail_all(Lost("the agent has ended"))
            future.set_result(message)

    def _lose(self, problem: HostProblem) -> None:
        self.lost = self.lost or problem
        self._fail_all(self.lost)
        while self.marks:
            fail(self.marks.pop(), self.lost)

    def _fail_all(self, problem: HostProblem) -> None:
        """Whoever waits for an answer hears that there will be none."""
        for _, future in self.asked.values():
            fail(future, problem)
        self.asked.clear()


def fail(future: "asyncio.Future[Answer]", problem: HostProblem) -> None:
    """Whoever waits hears the problem. Nobody needs to wait."""
    future.set_exception(problem)
    future.exception()


def done(answer: Answer) -> Answer:
    """What was done, as the agent tells it. Raises HostProblem where it could not."""
    if "problem" in answer:
        raise HostProblem(answer["problem"], more=answer["more"])
    found: Answer = answer["ok"]
    return found


def encoded(content: bytes) -> str:
    """Bytes as they travel."""
    return base64.b64encode(content).decode()


def why_not(answer: Answer) -> HostProblem:
    """Why the lock could not be taken, by what the agent says."""
    if answer.get("locked"):
        return HostProblem(f"locked: {answer['locked']}", locked=True)
    return HostProblem(f"cannot be locked: {' / '.join(answer.get('said', [])) or 'systemd-run failed'}")


def why(code: int | None, stderr: bytes) -> str:
    """In a line, why ssh or what it ran ended with `code`: 255 is ssh's own."""
    lines = stderr.decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"exit {code} without a word"
    if code == 255:
        return f"cannot be reached: {said}; try ssh by hand"
    if "sudo" in said and "password" in said:
        return f"{said}: log in as root, or allow it by NOPASSWD in sudoers"
    return said


async def run(host: Host, ssh: Ssh, words: Sequence[str], input: bytes = b"", timeout: float = 60) -> Done:
    """Run words at a host as root over a connection of their own, where no Python is needed; how they ended. Raises
    HostProblem where it can't be reached."""
    ended = await process.run(ssh.command(host.address, words), input, timeout)
    if ended.code == 255:
        raise HostProblem(why(255, ended.err))
    return ended
