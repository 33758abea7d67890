"""Commands of the team, run here and fed the record of a deploy as JSON."""

import json
import sys
import time
from collections.abc import Awaitable, Mapping
from typing import NotRequired, TypedDict

from ..errors import DeployError, HostProblem, Locked, Refused
from ..ssh import process

SECONDS = 300


class HookRecord(TypedDict):
    """What a hook reads."""

    version: int
    id: str
    app: str
    action: str
    tag: str
    digest: str
    who: str
    hosts: list[str]
    outcome: NotRequired[str]
    seconds: NotRequired[float]
    cause: NotRequired[str]


async def failure(command: str, record: Mapping[str, object], seconds: float) -> str:
    """Run a hook; why it failed, "" if it did not."""
    try:
        done = await process.run(["sh", "-c", command], json.dumps(record).encode(), seconds, stdout=sys.stderr,
                                 stderr=None)
        return f"exit {done.code}" if done.code else ""
    except HostProblem:
        return f"no end within {seconds:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"


async def run(command: str, record: HookRecord, must: bool = False) -> None:
    """Run a hook, if there is one. Only where it `must` succeed does its failure count: then Refused is raised."""
    if not command:
        return
    said = await failure(command, record, SECONDS)
    if said and must:
        raise Refused(f"hooks.before forbids it: {command}: {said}")
    if said:
        print(f"deploy: warning: hook failed; the deploy is unaffected: {command}: {said}", file=sys.stderr)


async def around(commands: Mapping[str, str], record: HookRecord, began: float, work: Awaitable[None]) -> float:
    """Do a deploy and run the hook of its end, but for one refused or locked. Returns seconds since `began`."""
    try:
        await work
    except (Refused, Locked):
        raise
    except DeployError as error:
        await run(commands["failed"], {**record, "outcome": "failed", "cause": str(error), "seconds": since(began)})
        raise
    seconds = since(began)
    await run(commands["committed"], {**record, "outcome": "committed", "seconds": seconds})
    return seconds


def since(began: float) -> float:
    """Seconds, to a tenth."""
    return round(time.monotonic() - began, 1)
