"""Runs docker on any manager that answers: all managers have the same state."""

import asyncio
import base64
import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..agent.host import lines_of
from ..config import Fleet, Host
from ..errors import HostProblem, Refused, invalid_answer, on_hosts
from ..ssh.connection import run
from ..ssh.validate import decoded
from . import state

NAME = "swarm"  # shown in events instead of a host's name
NO_ANSWER = ("not a swarm manager", "does not have a leader", "Cannot connect to the Docker daemon", "DeadlineExceeded")
AGAIN = 1  # seconds between tries
T = TypeVar("T")


@dataclass
class Manager:
    """The managers. `last`: the manager that answered last. The next command goes to this manager first."""

    fleet: Fleet
    last: Host | None = None

    async def docker(self, *words: str, input: bytes = b"", timeout: float = 60) -> str:
        """Run docker. Raise HostProblem if it fails, or Refused if no manager answers."""
        return await self.run(["docker", *words], input, timeout)

    async def run(self, words: Sequence[str], input: bytes = b"", timeout: float = 60) -> str:
        problems: dict[str, list[str]] = {}
        for host in sorted(self.fleet.app_hosts, key=lambda host: host != self.last):
            try:
                done = await run(host, self.fleet.ssh, words, input, timeout)
            except HostProblem as problem:
                problems[host.name] = list(problem.args)
                continue
            cause = decoded(done.err) or f"{words[0]} ended with {done.code}"
            if not done.code or not any(text in cause for text in NO_ANSWER):
                self.last = host
                if done.code:
                    raise HostProblem(cause)
                return done.out.decode(errors="replace")
            problems[host.name] = [f"{lines_of(cause)[-1]}: see docs/swarm.md"]
        raise Refused(on_hosts(problems))

    async def state(self, until: float = 0) -> state.State:
        """Return the app's state. If this fails, retry until time.monotonic() is `until`, then raise Refused."""
        while True:
            try:
                output = await self.run(["sh", "-c", state.SCRIPT, "sh", self.fleet.app])
                return parse_answer(functools.partial(state.parse, self.fleet.app), output)
            except (HostProblem, Refused) as problem:
                if time.monotonic() >= until:
                    raise Refused(f"{NAME}: {problem}") from None
            await asyncio.sleep(AGAIN)

    async def settings(self, name: str) -> str:
        try:
            data = (
                parse_answer(
                    lambda output: base64.b64decode(json.loads(output)[0]["Spec"]["Data"]),
                    await self.docker("config", "inspect", name),
                )
                if name
                else b""
            )
        except HostProblem as problem:
            raise Refused(f"{NAME}: {problem}") from None
        return data.decode(errors="replace")

    async def keep(self, kind: str, name: str, content: bytes) -> None:
        if not await self.docker(kind, "ls", "--quiet", "--filter", f"name={name}"):
            await self.docker(kind, "create", name, "-", input=content)


def parse_answer(read: Callable[[str], T], output: str) -> T:
    """Return what `read` makes of a manager's words. Raise Lost if it cannot read them."""
    try:
        return read(output)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise invalid_answer(f"{type(error).__name__}: {error}") from None
