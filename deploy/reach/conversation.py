"""What a deployer and an agent say to each other: JSON, a line each way; an answer has the number of its question."""

import asyncio
import json
from typing import Any

from ..errors import HostProblem, Lost, Nonsense
from . import answers
from .answers import Event
from .process import Process

MARK = b"--8<-- slipway"
Answer = dict[str, Any]


class Conversation:
    """With the agent that `process` runs. What it tells without being asked goes to `told`."""

    process: Process

    def __init__(self) -> None:
        self.lost: HostProblem | None = None
        self.number, self.heard, self.began = 0, False, False
        self.asked: dict[int, tuple[str, asyncio.Future[Answer]]] = {}
        self.marks: list[asyncio.Future[Answer]] = []  # of looking, and of working, until they come

    def told(self, event: Event) -> None:
        raise NotImplementedError

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

    def _mark(self) -> "asyncio.Future[Answer]":
        """What comes when the agent begins to look, or to work."""
        mark: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.marks.append(mark)
        return mark

    def _line(self, message: Answer) -> None:
        self.process.write(json.dumps(message).encode() + b"\n")

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
            self.told(answers.event(message))
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


def why(code: int | None, stderr: bytes) -> str:
    """In a line, why ssh or what it ran ended with `code`: 255 is ssh's own."""
    lines = stderr.decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"exit {code} without a word"
    if code == 255:
        return f"cannot be reached: {said}; try ssh by hand"
    if "sudo" in said and "password" in said:
        return f"{said}: log in as root, or allow it by NOPASSWD in sudoers"
    return said
