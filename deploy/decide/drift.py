"""What is not as it should be on a host. Pure: facts in, lines out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..agent.answers import Facts, SlotFacts
from . import preflight
from .config import Fleet, Host
from .preflight import AllFacts

EMPTY: SlotFacts = {"release": None, "units": {}}


def problems(fleet: Fleet, hosts: Sequence[Host], facts: AllFacts) -> dict[str, list[str]]:
    """host name → what is not as it should be."""
    tags = {name: found["tag"]["tag"] if found["tag"] else "no release" for name, found in facts.items()}
    found = {host.name: list(of_host(fleet, host, facts[host.name])) for host in hosts}
    for name, text in preflight.warnings(hosts, facts):
        found[name].append(text)
    if len(set(tags.values())) > 1:
        for name, tag in tags.items():
            found[name].append(f"{tag} is committed there, and not the same everywhere")
    return {name: texts for name, texts in found.items() if texts}


def of_host(fleet: Fleet, host: Host, facts: Facts) -> Iterator[str]:
    yield from preflight.of_host(fleet, host, facts)
    yield from releases(fleet.app, host, facts)
    if facts["staged"]:
        yield "settings are staged, and live with the next deploy"
    if facts["torn"]:
        yield f"{facts['torn']} lines of releases.log are torn, and left out"
    if facts["attempt"] and not facts["lock"]:
        yield (f"a deploy of {facts['attempt']['tag']} died there; the next deploy or rollback settles it")


def releases(name: str, host: Host, facts: Facts) -> Iterator[str]:
    """What runs, against what is committed."""
    tag = facts["tag"]
    if not tag:
        return
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    if not facts["lock"] and slot["release"] and slot["release"] != tag:
        yield f"{slot['release']['tag']} is live, and {tag['tag']} is committed"
    for role, unit in slot["units"].items():
        yield from dying(role, unit, f"{role}-{facts['live']}", facts)
        if not running(unit) or unit.get("health", "ready") not in ("ready", "consuming"):
            yield f"{role} is {unit.get('state')}, {unit.get('health', 'not running')}"
        if unit.get("dead"):
            yield f"tasks that were given up: {unit['dead']}; see `docker-runner {name} manage dead_tasks` there"
    if host.has("beat"):
        yield from dying("beat", facts["beat"] or {}, "beat", facts)
    if host.has("beat") and not running(facts["beat"] or {}):
        yield f"beat is {facts['beat']['state'] if facts['beat'] else None}"


def running(unit: Mapping[str, Any]) -> bool:
    return unit.get("state") in ("active", "activating", "reloading")


def dying(role: str, unit: Mapping[str, Any], name: str, facts: Facts) -> Iterator[str]:
    """One that ends again and again: its unit has started it anew so many times, the last less than as many minutes
    ago, or less than an hour. A container that its unit has only adopted is older."""
    restarts = int(unit.get("restarts") or 0)
    born = [made for found, (_, _, made) in facts["containers"].items() if found.endswith(f"-{name}")]
    age = facts["now"] - born[0] if born else 0
    if facts["docker"] and age < 60 * min(restarts, 60):
        yield (f"{role} ends again and again: its unit restarted {restarts} x, its container is {age:.0f} s old:"
               " see make logs")
