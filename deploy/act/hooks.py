"""Commands of the team, run here and fed the record of a deploy as JSON."""

import json
import sys
from typing import NotRequired, TypedDict

from ..errors import HostProblem, Refused
from ..reach import process

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


async def run(command: str, record: HookRecord, must: bool = False) -> None:
    """Run a hook, if there is one. Only where it `must` succeed does its failure count: then Refused is raised."""
    if not command:
        return
    try:
        done = await process.run(["sh", "-c", command], json.dumps(record).encode(), SECONDS, stdout=sys.stderr,
                                 stderr=None)
        said = f"exit {done.code}" if done.code else ""
    except HostProblem:
        said = f"no end within {SECONDS} s"
    if said and must:
        raise Refused(f"hooks.before forbids it: {command}: {said}")
    if said:
        print(f"deploy: warning: hook failed; the deploy is unaffected: {command}: {said}", file=sys.stderr)
