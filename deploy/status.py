"""What runs where, and what is not as it should be. Pure: facts in, lines out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import preflight
from .config import Fleet, Host
from .preflight import AllFacts
from .shapes import Facts, Release, Slot

Row = tuple[str, ...]

EMPTY: Slot = {"release": None, "units": {}}
ROWS = ("host", "role", "release", "slot", "state", "since", "image")


def rows(fleet: Fleet, host: Host, facts: Facts) -> Iterator[Row]:
    """A row for each role of a host, as ROWS names the columns."""
    live = facts["live"]
    slot = facts["slots"].get(live or "", EMPTY)
    for role in ("web", "worker"):
        if host.has(role):
            yield row(host.name, role, slot["release"], live, slot["units"].get(role, {}))
    beat = facts["beat"]
    if host.has("beat"):
        yield row(host.name, "beat", beat["release"] if beat else None, "", beat or {})
    warm = facts["slots"].get({"a": "b", "b": "a"}.get(live or "", ""), EMPTY)
    if warm["release"]:
        state = {"state": "warm" if any(running(unit) for unit in warm["units"].values()) else "stopped"}
        yield row(host.name, "old", warm["release"], "b" if live == "a" else "a", state)


def row(host: str, role: str, release: Release | None, slot: str | None, unit: Mapping[str, Any]) -> Row:
    tag, image = (release["tag"], release["image_id"]) if release else ("-", "")
    state = " ".join(filter(None, [unit.get("state"), unit.get("health", "")]))
    since = " ".join((unit.get("since") or "").split()[1:3])
    return host, role, tag, slot or "-", state or "-", since or "-", image.removeprefix("sha256:")[:12] or "-"


def running(unit: Mapping[str, Any]) -> bool:
    return unit.get("state") in ("active", "activating", "reloading")


def drift(fleet: Fleet, hosts: Sequence[Host], facts: AllFacts) -> dict[str, list[str]]:
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
    yield from preflight.fitness(facts)
    yield from preflight.provisioning(fleet, host, facts)
    yield from preflight.room(fleet, facts)
    yield from preflight.roles(fleet, host, facts)
    yield from preflight.visitors(fleet, host, facts)
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


def dying(role: str, unit: Mapping[str, Any], name: str, facts: Facts) -> Iterator[str]:
    """One that ends again and again: its unit has started it anew so many times, the last less than as many minutes
    ago, or less than an hour. A container that its unit has only adopted is older."""
    restarts = int(unit.get("restarts") or 0)
    born = [made for found, (_, _, made) in facts["containers"].items() if found.endswith(f"-{name}")]
    age = facts["now"] - born[0] if born else 0
    if facts["docker"] and age < 60 * min(restarts, 60):
        yield (f"{role} ends again and again: its unit restarted {restarts} x, its container is {age:.0f} s old:"
               " see make logs")


def table(lines: Sequence[Row]) -> str:
    """Columns as wide as they need to be."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def history(facts: AllFacts) -> list[Row]:
    """The records of all hosts' logs, one a deploy and outcome, newest last: rows of a table."""
    found: dict[tuple[Any, str], dict[str, Any]] = {}
    for name, host in sorted(facts.items()):
        for record in host["records"]:
            entry = found.setdefault((record.get("id"), record["outcome"]),
                                     {"at": 0, "seconds": 0, **record, "hosts": []})
            entry["hosts"].append(name)
            entry["seconds"] = max(entry["seconds"], record.get("seconds", 0))
    rows = [(datetime.fromtimestamp(entry["at"]).strftime("%Y-%m-%d %H:%M:%S"), entry["action"], entry["tag"],
             entry["outcome"], f"{entry['seconds']:.0f} s", by(entry), ", ".join(entry["hosts"]))
            for entry in sorted(found.values(), key=lambda entry: entry["at"])]
    return [("when", "what", "release", "outcome", "took", "by", "hosts"), *rows]


def by(entry: Mapping[str, Any]) -> str:
    """Who, of "deploy build-7 by ann from laptop since …"."""
    return (entry.get("who") or "").partition(" by ")[2].partition(" since ")[0] or "-"
