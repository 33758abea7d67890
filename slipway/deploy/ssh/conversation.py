"""The protocol with the agent: lines of JSON. An answer has the id of its request."""

import asyncio
import json
from pathlib import Path
from typing import Any

from ..agent.host import lines_of
from ..errors import HostProblem, Lost, invalid_answer
from . import bootstrap, validate
from .bootstrap import MARK, WANTED
from .child import Process
from .validate import Tell

Answer = dict[str, Any]


class Conversation:
    """Sends requests to the agent through `process`, and receives answers. `tell` gets the agent's events."""

    process: Process

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.lost: HostProblem | None = None
        self.number = 0
        self.heard = False
        self.began = False
        self.sent = False
        self.asked: dict[int, tuple[str, asyncio.Future[Answer]]] = {}
        self.marks: list[asyncio.Future[Answer]] = []  # one for each MARK that has not come yet

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
        await asyncio.wait({future}, timeout=timeout)
        if not future.done():
            raise Lost(f"no answer within {timeout:g} s")
        return future.result()

    def _mark(self) -> "asyncio.Future[Answer]":
        """Return a future that the next line MARK ends. The agent sends MARK when it starts, also with the lock."""
        mark: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.marks.append(mark)
        return mark

    def _line(self, message: Answer) -> None:
        self.process.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        lost: HostProblem = Lost("the connection is closed")
        try:
            async for line in self.process.lines():
                self._on_line(line)
            lost = Lost(why_ended(await self.process.ended(10), self.process.err))
        except Lost as problem:
            self.process.kill()
            lost = problem
        except Exception as error:
            lost = Lost(f"its answers could not be processed: {error!r}")
        finally:  # no answer can come any more, so end all waits
            self._mark_lost(lost)

    def _on_line(self, line: bytes) -> None:
        if line.rstrip() == MARK or (not self.began and line.rstrip().endswith(MARK)):
            if not self.marks:
                raise invalid_answer("the agent started twice")
            self.began = True
            self.marks.pop(0).set_result({})
        elif self.began:
            self._on_message(validate.parse(line))
        elif line.rstrip().endswith(WANTED):
            if self.sent:
                raise invalid_answer("a second request for the agent's code")
            self.sent = True
            self.process.write(bootstrap.sent())

    def _on_message(self, message: Answer) -> None:
        self.heard = True
        if "event" in message:
            self.tell(validate.checked_event(message))
        elif "alive" not in message:
            self._on_answer(message)

    def _on_answer(self, message: Answer) -> None:
        number = message.get("id")
        if type(number) is not int or number not in self.asked:
            raise invalid_answer("an answer without a request")
        do, future = self.asked.pop(number)
        try:
            validate.check_answer(message, do)
        except Lost as problem:
            fail(future, problem)
            raise
        if do == "lock":  # the agent that held the lock has ended, so its other answers cannot come
            self._fail_all(Lost("the agent has ended"))
        future.set_result(message)

    def _mark_lost(self, problem: HostProblem) -> None:
        self.lost = self.lost or problem
        self._fail_all(self.lost)
        while self.marks:
            fail(self.marks.pop(), self.lost)

    def _fail_all(self, problem: HostProblem) -> None:
        for _, future in self.asked.values():
            fail(future, problem)
        self.asked.clear()


def fail(future: "asyncio.Future[Answer]", problem: HostProblem) -> None:
    future.set_exception(problem)
    future.exception()  # read the exception once; otherwise asyncio logs a warning


def result(answer: Answer) -> Answer:
    if "problem" in answer:
        raise HostProblem(answer["problem"], details=answer["details"])
    content: Answer = answer["ok"]
    return content


def why_ended(code: int | None, stderr: bytes) -> str:
    """Explain in one line why ssh or its command ended. ssh's own failures have code 255."""
    lines = lines_of(validate.decoded(stderr))
    message = lines[-1] if lines else f"exit code {code}, no output"
    if code == 255:
        return f"cannot be reached: {message}; {test_servers(message) or 'try ssh by hand'}"
    if "sudo" in message and "password" in message:
        return f"{message}: log in as root, or set NOPASSWD for this user in sudoers"
    return message


def test_servers(message: str) -> str:
    """Return what to do if ssh does not know a host, but the test servers of make fleet are up."""
    up = sorted(Path("var").glob("fleet*/ssh_config"))
    if "resolve hostname" in message and up:
        return f"the servers of make fleet need: export DEPLOY_FOLDER={up[0].parent} SSH_CONFIG={up[0]}"
    return ""
