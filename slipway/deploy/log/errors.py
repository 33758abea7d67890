"""The groups of errors that agents found, as people read them. Does no I/O."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..agent.groups import Group, add_group


def merge_groups(answers: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    """Return the groups of all hosts, new ones first, then the most frequent. `answers`: host → its answer."""
    by_id: dict[str, Group] = {}
    for host, answer in sorted(answers.items()):
        for group in answer["groups"]:
            group["hosts"] = [host]
            add_group(by_id, group)
        for id in by_id.keys() & answer["seen_before"]:
            by_id[id]["seen_before"] = True
    return sorted(by_id.values(), key=lambda group: (group["seen_before"], -group["count"], group["id"]))


def group_lines(group: Group) -> str:
    """Return a group's two lines: its id and what failed; how often, when and where."""
    new = "" if group["seen_before"] else "new "
    times = " to ".join(dict.fromkeys(clock(group[key]) for key in ("first", "last")))
    where = f"{', '.join(group['roles'])} on {', '.join(group['hosts'])}"
    what = " ".join(filter(None, [group["title"], group["place"]]))
    if group["message"]:
        what += f": {group['message']}"
    below = [f"{group['count']} x", times, where, *group["releases"]]
    return f"{group['id']} {new}{what}\n{', '.join(below)}"


def group_details(group: Group) -> Iterator[str]:
    """Yield a group's traceback, its newest requests or tasks, and the line that shows more."""
    yield from filter(None, [group["text"]])
    for at, id, what, release in group["latest"]:
        yield " ".join(filter(None, [clock(at), id, release, what]))
    # Somebody copies this line to a shell, so that nothing in it may act there.
    ids = [id for _, id, *_ in group["latest"] if re.fullmatch("[A-Za-z0-9_-]{8,64}", id)]
    words = f"--request={ids[-1]}" if ids else f"--since '{clock(group['last'] - 60)}'"
    yield f"slipway logs {words}"


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"
