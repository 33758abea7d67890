"""The protocol between deployer and agent: a JSON object a line; an answer has the id of its question."""

import asyncio
import json
from typing import Any

from ..errors import HostProblem, Lost, nonsense
from . import validate
from .process import Process
from .validate import Tell

MARK = b"--8<-- slipway"  # the agent's answers begin, after whatever a login has greeted with
WANTED = MARK + b" wants its agent"  # instead of that, where the host has not kept it
Answer = dict[str, Any]


class Conversation:
    """Questions to the agent that `process` runs, and their answers. Its events go to `tell`."""

    process: Process

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.lost: HostProblem | None = None
        self.number, self.heard, self.began, self.sent = 0, False, False, False
        self.asked: dict[int, tuple[str, asyncio.Future[Answer]]] = {}
        self.marks: list[asyncio.Future[Answer]] = []  # those that are waited for

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
        """The answer. Raises Lost after `timeout` seconds; the question stays open, as its answer may still come."""
        await asyncio.wait({future}, timeout=timeout)
        if not future.done():
            raise Lost(f"no answer within {timeout:g} s")
        return future.result()

    def _mark(self) -> "asyncio.Future[Answer]":
        """Done at the agent's next MARK: when it has started, and when it has restarted under the lock."""
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
            lost = Lost(why_ended(await self.process.ended(10), self.process.err))
        except Lost as problem:
            self.process.kill()
            lost = problem
        except Exception as error:
            lost = Lost(f"its answers could not be taken: {error!r}")
        finally:  # nobody reads answers any more, so nobody may wait for one
            self._lose(lost)

    def _hear(self, line: bytes) -> None:
        """Take a line of the host. Those before the first mark are a login's greeting."""
        if line.rstrip() == MARK:
            if not self.marks:
                raise nonsense("it begins once more")
            self.began = True
            self.marks.pop(0).set_result({})
        elif self.began:
            self._take(validate.parse(line))
        elif line.rstrip() == WANTED:
            if self.sent:
                raise nonsense("it wants its agent once more")
            self.sent = True
            self._send_agent()

    def _send_agent(self) -> None:
        raise NotImplementedError

    def _take(self, message: Answer) -> None:
        self.heard = True
        if "event" in message:
            self.tell(validate.checked_event(message))
        elif "alive" not in message:
            self._take_answer(message)

    def _take_answer(self, message: Answer) -> None:
        number = message.get("id")
        if type(number) is not int or number not in self.asked:
            raise nonsense("an answer to nothing that was asked")
        do, future = self.asked.pop(number)
        try:
            validate.checked_answer(message, do)
        except Lost as problem:
            fail(future, problem)
            raise
        if do == "lock":  # the lock's agent has ended; the one that started it reads on
            self._fail_all(Lost("the agent has ended"))
        future.set_result(message)

    def _lose(self, problem: HostProblem) -> None:
        self.lost = self.lost or problem
        self._fail_all(self.lost)
        while self.marks:
            fail(self.marks.pop(), self.lost)

    def _fail_all(self, problem: HostProblem) -> None:
        """End all waiting for answers with this problem."""
        for _, future in self.asked.values():
            fail(future, problem)
        self.asked.clear()


def fail(future: "asyncio.Future[Answer]", problem: HostProblem) -> None:
    """End the wait for an answer with a problem, if anybody waits."""
    future.set_exception(problem)
    future.exception()  # or asyncio would complain that nobody has asked for it


def result(answer: Answer) -> Answer:
    """What the agent has answered with "ok". Raises the HostProblem that it answered instead."""
    if "problem" in answer:
        raise HostProblem(answer["problem"], more=answer["more"])
    found: Answer = answer["ok"]
    return found


def why_ended(code: int | None, stderr: bytes) -> str:
    """Why ssh, or what it ran, ended with `code`, in a line. ssh's own failures have the code 255."""
    lines = stderr.decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"exit {code} without a word"
    if code == 255:
        return f"cannot be reached: {said}; try ssh by hand"
    if "sudo" in said and "password" in said:
        return f"{said}: log in as root, or allow it by NOPASSWD in sudoers"
    return said
