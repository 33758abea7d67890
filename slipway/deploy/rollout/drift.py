"""What `status` finds wrong on hosts. Pure: facts in, lines out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..agent.answers import Facts, SlotFacts
from ..config import Fleet, Host
from . import preflight
from .preflight import AllFacts

EMPTY: SlotFacts = {"release": None, "units": {}}


def problems(fleet: Fleet, hosts: Sequence[Host], facts: AllFacts) -> dict[str, list[str]]:
    """host name → what is wrong there; hosts without a problem are left out."""
    tags = {name: found["tag"]["tag"] if found["tag"] else "no release" for name, found in facts.items()}
    found = {host.name: list(host_problems(fleet, host, facts[host.name])) for host in hosts}
    if len(set(tags.values())) > 1:
        for name, tag in tags.items():
            found[name].append(f"{tag} is committed there, and not the same everywhere")
    return {name: texts for name, texts in found.items() if texts}


def host_problems(fleet: Fleet, host: Host, facts: Facts) -> Iterator[str]:
    """What is wrong with one host, for itself."""
    yield from preflight.host_problems(fleet, host, facts)
    yield from not_running(host, facts)
    if facts["staged"]:
        yield "settings are staged, and live with the next deploy"
    if facts["torn"]:
        yield f"{facts['torn']} lines of releases.log are torn, and left out"
    if facts["attempt"] and not facts["lock"]:
        yield (f"a deploy of {facts['attempt']['tag']} died there; the next deploy or rollback settles it")


def not_running(host: Host, facts: Facts) -> Iterator[str]:
    """What of the committed release does not run, or not well."""
    tag = facts["tag"]
    if not tag:
        return
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    if not facts["lock"] and slot["release"] and slot["release"] != tag:
        yield f"{slot['release']['tag']} is live, and {tag['tag']} is committed"
    for role, unit in slot["units"].items():
        yield from unhealthy(role, unit, facts)
    for role, process in facts["alone"].items():
        if host.has(role):
            yield from restarting(role, process, role, facts)
            if not running(process):
                yield f"{role} is {process['state']}"


def unhealthy(role: str, unit: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    """What is wrong with the unit of a role in the live slot."""
    yield from restarting(role, unit, f"{role}-{facts['live']}", facts)
    if not running(unit) or unit.get("health", "ready") not in ("ready", "consuming"):
        yield f"{role} is {unit.get('state')}, {unit.get('health', 'not running')}"


def running(unit: Mapping[str, Any]) -> bool:
    """Whether a unit runs, or is about to."""
    return unit.get("state") in ("active", "activating", "reloading")


def restarting(role: str, unit: Mapping[str, Any], name: str, facts: Facts) -> Iterator[str]:
    """Whether a container ends again and again: its unit has restarted it N times, the last time less than N minutes
    and less than an hour ago. A container that its unit has only adopted is older."""
    restarts = int(unit.get("restarts") or 0)
    born = [made for found, (_, _, made) in facts["containers"].items() if found.endswith(f"-{name}")]
    age = facts["now"] - born[0] if born else 0
    if facts["docker"] and age < 60 * min(restarts, 60):
        yield (f"{role} ends again and again: its unit restarted {restarts} x, its container is {age:.0f} s old:"
               " see make logs")
