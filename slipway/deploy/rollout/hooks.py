"""Runs the team's hooks: the commands in the table [hooks] of production.toml."""

import json
import sys
import time
from collections.abc import Awaitable, Mapping
from typing import NotRequired, TypedDict

from ..errors import DeployError, HostProblem, Locked, Refused
from ..ssh import child

SECONDS = 300


class HookRecord(TypedDict):
    """The JSON that a hook gets on stdin."""

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
    try:
        done = await child.run(["sh", "-c", command], json.dumps(record).encode(), seconds, stdout=sys.stderr,
                               stderr=None)
        return f"exit code {done.code}" if done.code else ""
    except HostProblem:
        return f"did not end within {seconds:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"


async def run(command: str, record: HookRecord, must: bool = False) -> None:
    """Run a hook, unless `command` is "". If the hook fails, print a warning, but with `must` raise Refused."""
    if not command:
        return
    said = await failure(command, record, SECONDS)
    if said and must:
        raise Refused(f"hooks.before stopped the rollout: {command}: {said}")
    if said:
        print(f"deploy: warning: hook failed; the deploy is unaffected: {command}: {said}", file=sys.stderr)


async def around(commands: Mapping[str, str], record: HookRecord, began: float, work: Awaitable[None]) -> float:
    """Await `work`, then run the hook `committed` or `failed`. If `work` raises Refused or Locked, run no hook. Return
    the seconds since `began`."""
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
    return round(time.monotonic() - began, 1)
