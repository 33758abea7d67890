"""Runs the team's hooks: the commands in the table [hooks] of production.toml."""

import json
import sys
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Locked, Refused
from ..ssh import child
from ..ssh.connection import who

SECONDS = 300
Record = dict[str, Any]


def hook_record(fleet: Fleet, id: str, action: str, tag: str, digest: str, hosts: Iterable[Host]) -> Record:
    """Return the JSON that a hook gets on stdin. After the deploy, `run_around` adds outcome, seconds and cause."""
    return {
        "version": 1,
        "id": id,
        "app": fleet.app,
        "action": action,
        "tag": tag,
        "digest": digest,
        "who": who(f"{action} {tag}"),
        "hosts": [host.name for host in hosts],
    }


async def failure(command: str, record: Mapping[str, object], seconds: float) -> str:
    try:
        done = await child.run(
            ["sh", "-c", command], json.dumps(record).encode(), seconds, stdout=sys.stderr, stderr=None
        )
        return f"exit code {done.code}" if done.code else ""
    except HostProblem:
        return f"did not end within {seconds:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"


async def run(command: str, record: Record, must: bool = False) -> None:
    """Run a hook, unless `command` is "". If the hook fails, print a warning, but with `must` raise Refused."""
    if not command:
        return
    cause = await failure(command, record, SECONDS)
    if cause and must:
        raise Refused(f"hooks.before stopped the rollout: {command}: {cause}")
    if cause:
        print(f"slipway: warning: hook failed; the deploy is unaffected: {command}: {cause}", file=sys.stderr)


async def run_around(commands: Mapping[str, str], record: Record, began: float, work: Awaitable[None]) -> float:
    """Await `work`, then run a hook: `committed` or, unless Refused or Locked, `failed`. Return the seconds it took."""
    try:
        await work
    except (Refused, Locked):
        raise
    except DeployError as error:
        await run(
            commands["failed"], {**record, "outcome": "failed", "cause": str(error), "seconds": seconds_since(began)}
        )
        raise
    seconds = seconds_since(began)
    await run(commands["committed"], {**record, "outcome": "committed", "seconds": seconds})
    return seconds


def seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 1)
