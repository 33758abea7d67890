"""`status` and `releases` of a swarm."""

import argparse
import json
import sys
from collections.abc import Iterator

from ..agent.answers import SwarmFacts
from ..config import Fleet
from ..screen import tables
from ..ssh.validate import visible
from .goal import live
from .manager import NAME, Managers

HEAD = ("service", "release", "containers", "state")


async def facts_of(fleet: Fleet) -> SwarmFacts:
    """What a manager tells. Raises Refused where none does."""
    async with Managers(fleet) as managers:
        return (await managers.first()).facts


async def status(fleet: Fleet, args: argparse.Namespace) -> int:
    """Exit code 1 when anything is not as it should be."""
    facts = await facts_of(fleet)
    found = list(problems(fleet, facts))
    if args.json:
        print(json.dumps({"swarm": facts, "problems": found}))
        return 1 if found else 0
    print(visible(tables.table([HEAD, *rows(facts)])))
    if facts["lock"]:
        print(visible(f"locked: {facts['lock']}"))
    if found:
        print(visible("\n".join(found)))
    return 1 if found else 0


async def releases(fleet: Fleet, args: argparse.Namespace) -> None:
    """What ran when."""
    facts = await facts_of(fleet)
    if args.json:
        return print(json.dumps({NAME: facts["records"]}))
    print(visible(tables.table(tables.history({NAME: facts}))), file=sys.stdout)


# ---- pure ----

def rows(facts: SwarmFacts) -> Iterator[tuple[str, ...]]:
    """A row for each service; HEAD names the columns."""
    for name, one in facts["services"].items():
        state = "; ".join([*([one["update"]] if one["update"] not in ("", "completed") else []), *one["wrong"]])
        yield name, ", ".join(one["tags"]) or "-", f"{one['running']} of {one['wanted']}", state or "-"


def problems(fleet: Fleet, facts: SwarmFacts) -> Iterator[str]:
    """What is not as it should be, a line each."""
    down = [node["name"] for node in facts["nodes"] if node["state"] != "ready"]
    if down:
        yield f"{', '.join(down)}: out of the swarm's sight"
    if len(facts["nodes"]) < len(fleet.app_hosts):
        yield f"of {len(fleet.app_hosts)} hosts {len(facts['nodes'])} are in the swarm: run make provision"
    now = live(facts)
    for name in sorted(facts["expected"].keys() | facts["services"].keys()):
        yield from (f"{name}: {text}" for text in of_service(name, facts, now["tag"] if now else ""))


def of_service(name: str, facts: SwarmFacts, tag: str) -> Iterator[str]:
    """What is wrong with a service. `tag`: of the release that was committed."""
    one, wanted = facts["services"].get(name), facts["expected"].get(name)
    if not one:
        yield f"is gone; make deploy TAG={tag} brings it back"
    elif not wanted:
        yield "runs, and was never committed: the next deploy or rollback settles it"
    else:
        if one["wanted"] != facts["counts"].get(name, one["wanted"]):
            yield f"is to have {one['wanted']} containers, {facts['counts'][name]} were committed"
        if one["running"] < one["wanted"]:
            yield "; ".join([f"{one['running']} of {one['wanted']} containers are well", *one["wrong"]])
        if one["ids"] not in ([wanted], []):
            yield (f"runs {', '.join(one['tags'])}, and {tag} was committed: a deploy is under way, or the next one"
                   " settles it")
