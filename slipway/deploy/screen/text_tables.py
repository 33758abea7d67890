"""The tables of `status`, `plan` and `releases`."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..agent.groups import plural
from ..agent.message_types import Facts, Release
from ..agent.services import ServiceFacts
from ..config import Host
from ..rollout.drift import EMPTY, is_running
from ..ssh.validate import first_line, visible

Row = tuple[str, ...]
Commits = Callable[[str, str], Sequence[str]]
WIDTH = 100

ROWS = ("host", "role", "release", "slot", "state", "since", "image")


def rows(host: Host, facts: Facts) -> Iterator[Row]:
    """Yield a row for each role of a host, and one for the other slot if this has a release: the old or a new one."""
    live = facts["live"]
    slot = facts["slots"].get(live or "", EMPTY)
    for role in host.roles:
        if role in facts["alone"]:
            yield row(host.name, role, facts["alone"][role]["release"], "", facts["alone"][role])
        elif role in facts["timed"]:
            yield row(host.name, role, None, "", facts["timed"][role])
        else:
            yield row(host.name, role, slot["release"], live, slot["units"].get(role, {}))
    other = {"a": "b", "b": "a"}.get(live or "", "")
    release = facts["slots"].get(other, EMPTY)["release"]
    if release:
        name = "new" if is_coming(facts, other) else "old"
        yield row(host.name, name, release, other, {"state": other_slot_state(facts, other)})


def is_coming(facts: Facts, slot: str) -> bool:
    """Return True if an unfinished deploy or rollback brings its release in this slot, and not an earlier one."""
    release = facts["slots"].get(slot, EMPTY)["release"]
    return release is not None and slot == facts.get("coming") and release["tag"] == facts["attempt"]


def other_slot_state(facts: Facts, slot: str) -> str:
    runs = any(is_running(unit) for unit in facts["slots"].get(slot, EMPTY)["units"].values())
    if is_coming(facts, slot):
        return "not live yet" if runs else "not running"
    return "warm" if runs else "stopped"


def service_rows(host: str, services: Mapping[str, ServiceFacts]) -> Iterator[Row]:
    """Yield a row for each service on a host. Its version stands in place of a release."""
    for kind, facts in services.items():
        since = format_moment(facts["since"])
        state = facts["state"] or "-"
        if facts["version"]:
            state += f", {facts['size']}, {plural(int(facts['connections']), 'connection')}"
        yield host, kind, facts["version"] or "-", "-", state, since or "-", "-"


def row(host: str, role: str, release: Release | None, slot: str | None, unit: Mapping[str, Any]) -> Row:
    tag, image = (release["tag"], release["image_id"]) if release else ("-", "")
    state = " ".join(filter(None, [unit.get("state"), unit.get("health", "")]))
    since = format_moment(unit.get("since"))
    return host, role, tag, slot or "-", state or "-", since or "-", image.removeprefix("sha256:")[:12] or "-"


def format_moment(text: str | None) -> str:
    """Return the date and time of systemd's "Sat 2026-11-28 03:00:00 UTC", by this machine's clock if it is UTC."""
    at = moment(text)
    if at is None:
        return " ".join((text or "").split()[1:3])
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str | None) -> float | None:
    """Return the seconds since the epoch of systemd's time; None if it is none, or not UTC, as earlier agents sent."""
    words = (text or "").split()[1:]
    try:
        time = datetime.strptime(" ".join(words[:2]), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return time.replace(tzinfo=UTC).timestamp() if words[2:] == ["UTC"] else None


def table(lines: Sequence[Row]) -> str:
    """Return the rows with aligned columns, no wider than WIDTH and the terminal: cut the widest, escape line ends."""
    limit = min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)
    lines = [tuple(visible(text[:1000]).replace("\n", "\\n") for text in line) for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > limit and max(widths) > 3:
        widths[widths.index(max(widths))] -= 1
    return "\n".join(
        "  ".join(cut(text, width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def releases_table(facts: Mapping[str, Mapping[str, Any]], commits: Commits = lambda old, new: []) -> str:
    """Return the table of `releases`, newest last. A deploy has a row for each outcome on its hosts; below is what
    changed, and why it failed. `commits` tells what came between two revisions."""
    entries = outcomes(facts)
    rows = [
        (
            datetime.fromtimestamp(entry["at"]).strftime("%Y-%m-%d %H:%M:%S"),
            entry["action"],
            entry["tag"],
            entry["outcome"],
            f"{entry['seconds']:.0f} s",
            who_deployed(entry),
            ", ".join(entry["hosts"]),
        )
        for entry in entries
    ]
    lines = table([("when", "what", "release", "outcome", "took", "by", "hosts"), *rows]).split("\n")
    shown = lines[:1]
    revisions: dict[str, str] = {}
    live = ""
    for line, entry in zip(lines[1:], entries, strict=True):
        revision = revisions[entry["tag"]] = entry.get("revision") or revisions.get(entry["tag"], "")
        shown += [line, *(f"    {text}" for text in lines_below(entry, revision, commits(live, revision)))]
        live = revision if entry["outcome"] == "committed" else live
    return "\n".join(shown)


def outcomes(facts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an entry for each outcome of a deploy on its hosts, newest last."""
    by_outcome: dict[tuple[Any, str], dict[str, Any]] = {}
    for name, host in sorted(facts.items()):
        for record in host["records"]:
            entry = by_outcome.setdefault(
                (record.get("id"), record["outcome"]), {"at": 0, "seconds": 0, **record, "hosts": []}
            )
            entry["hosts"] += [] if record.get("inherited") else [name]
            entry["migrations"] = entry.get("migrations") or record.get("migrations", "")  # one host runs them
            entry["cause"] = max(str(entry.get("cause") or ""), str(record.get("cause") or ""), key=len)
            entry["seconds"] = max(entry["seconds"], record.get("seconds", 0))
    return sorted(by_outcome.values(), key=lambda entry: entry["at"])


def lines_below(entry: Mapping[str, Any], revision: str, commits: Sequence[str]) -> Iterator[str]:
    if entry.get("key"):
        yield f"by deploy key {first_line(entry['key'])}"
    if entry.get("settings"):
        yield f"changed settings: {first_line(entry['settings'])}"
    if entry.get("migrations"):
        yield f"migrations: {first_line(entry['migrations'])}"
    if revision:
        yield f"commit {first_line(revision)[:12]}"
    yield from (f"  {first_line(text)}" for text in commits)
    if entry["cause"]:
        yield first_line(" ".join(entry["cause"].split()))


def who_deployed(entry: Mapping[str, Any]) -> str:
    """Return who made a deploy: "ann from laptop" for "deploy build-7 by ann from laptop since …"."""
    return (entry.get("who") or "").partition(" by ")[2].partition(" since ")[0] or "-"
