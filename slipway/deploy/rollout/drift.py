"""The problems that `status` shows. Does no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..agent.message_types import Facts, SlotFacts
from ..config import Fleet, Host
from ..server import provisioned
from . import preflight
from .preflight import AllFacts

EMPTY: SlotFacts = {"release": None, "units": {}}


def problems(fleet: Fleet, hosts: Sequence[Host], facts: AllFacts) -> dict[str, list[str]]:
    tags = {name: tag or "no release" for name, tag in preflight.live_tags(facts).items()}
    by_host = {host.name: list(host_problems(fleet, host, facts[host.name])) for host in hosts}
    if len(set(tags.values())) > 1:
        for name, tag in tags.items():
            by_host[name].append(f"{tag} is committed, but not on all hosts: deploy again, or roll back")
    return {name: texts for name, texts in by_host.items() if texts}


def host_problems(fleet: Fleet, host: Host, facts: Facts) -> Iterator[str]:
    yield from preflight.host_problems(fleet, host, facts)
    yield from preflight.file_problems(provisioned.of_others(fleet, host), facts["files"])
    yield from release_problems(host, facts)
    yield from (
        f"{role} is {timer['state']}, {timer['health']}: see slipway logs --role {role}"
        for role, timer in facts["timed"].items()
        if timer.get("health")
    )
    yield from facts["strangers"]
    if facts["staged"]:
        yield "settings are staged: they go live with the next deploy"
    if facts["torn"]:
        yield f"{facts['torn']} lines of releases.log are damaged and ignored"
    if facts["attempt"] and not facts["lock"]:
        yield f"a deploy of {facts['attempt']} died; the next deploy or rollback cleans up"


def release_problems(host: Host, facts: Facts) -> Iterator[str]:
    """Yield the problems of the committed release: it is not live, or a process does not run well."""
    tag = facts["tag"]
    if not tag:
        return
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    if not facts["lock"] and slot["release"] and slot["release"] != tag:
        yield f"{slot['release']['tag']} runs instead of {tag['tag']}, the committed release: deploy again"
    for role, unit in slot["units"].items():
        yield from restart_problem(role, unit, f"{role}-{facts['live']}", facts)
        if not is_running(unit) or unit.get("health", "ready") not in ("ready", "consuming"):
            yield f"{role} is {unit.get('state')}, {unit.get('health', 'not running')}"
    for role, process in facts["alone"].items():
        if host.has(role):
            yield from restart_problem(role, process, role, facts)
            if not is_running(process):
                yield f"{role} is {process['state']}"


def is_running(unit: Mapping[str, Any]) -> bool:
    return unit.get("state") in ("active", "activating", "reloading")


def restart_problem(role: str, unit: Mapping[str, Any], name: str, facts: Facts) -> Iterator[str]:
    """Yield a problem if a unit keeps restarting: its container's age in minutes is below 60 and below the number of
    restarts."""
    restarts = int(unit.get("restarts") or 0)
    born = [made for container, (_, _, made) in facts["containers"].items() if container.endswith(f"-{name}")]
    age = facts["now"] - born[0] if born else 0
    if facts["docker"] and 0 <= age < 60 * min(restarts, 60):  # below 0: the clock stepped back, the age is unknown
        yield (
            f"{role} keeps exiting: its unit restarted {restarts} x, its container is {age:.0f} s old: see slipway logs"
        )
