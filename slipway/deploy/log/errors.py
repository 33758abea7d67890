"""The groups of errors that agents found, as people read them. Does no I/O."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..agent.groups import LATEST, brief
from ..errors import Refused

Groups = list[dict[str, Any]]  # Group, and `hosts`


def merged(answers: Mapping[str, Mapping[str, Any]]) -> Groups:
    """Return the groups of all hosts, new ones first, then the most frequent. `answers`: host → its answer."""
    found: dict[str, dict[str, Any]] = {}
    for host, answer in sorted(answers.items()):
        for group in answer["groups"]:
            ours = found.setdefault(group["id"], {**group, "count": 0, "hosts": [], "latest": []})
            ours["hosts"].append(host)
            newest = group if group["last"] >= ours["last"] else {}
            ours |= {key: newest[key] for key in ("last", "place", "message", "text") if key in newest}
            ours |= {"count": ours["count"] + group["count"], "first": min(ours["first"], group["first"]),
                     "known": ours["known"] or group["known"],
                     "latest": sorted([*ours["latest"], *group.get("latest", [])])[-LATEST:],
                     **{key: sorted({*ours[key], *group[key]}) for key in ("releases", "roles")}}
    return sorted(found.values(), key=lambda group: (group["known"], -group["count"], group["id"]))


def chosen(groups: Groups, word: str) -> Groups:
    """Return the group of this number or id. Raise Refused if there is none."""
    found = [group for number, group in enumerate(groups, 1) if word in (str(number), group["id"])]
    if not found:
        raise Refused(f"there is no group {word!r}: make errors lists them")
    return found[:1]


def head(group: Mapping[str, Any], number: int) -> str:
    """Return a group's two lines."""
    new = "" if group["known"] else "new "
    times = " to ".join(dict.fromkeys(clock(group[key]) for key in ("first", "last")))
    where = f"{', '.join(group['roles'])} on {', '.join(group['hosts'])}"
    what = " ".join(filter(None, [group["title"], group["place"]])) + f": {group['message']}" * bool(group["message"])
    below = [f"{group['count']} x", times, where, *group["releases"], f"id {group['id']}"]
    return f"{number}. {new}{what}\n{', '.join(below)}"


def whole(group: Mapping[str, Any]) -> Iterator[str]:
    """Yield a group's traceback, its newest requests or tasks, and the line that shows more."""
    yield from filter(None, [group.get("text")])
    for at, id, what, release in group["latest"]:
        yield " ".join(filter(None, [clock(at), id, release, what]))
    # Somebody copies this line to a shell, so that nothing in it may act there.
    ids = [id for _, id, *_ in group["latest"] if re.fullmatch("[A-Za-z0-9_-]{8,64}", id)]
    role = next((f"--role {role} " for role in group["roles"] if re.fullmatch("[a-z0-9]+", role)), "")
    words = f"--request {ids[-1]}" if ids else f"{role}--since '{clock(group['last'] - 60)}'"
    yield f'make logs ARGS="{words}"'


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def summary(groups: Groups) -> str:
    """Return the new groups in one line, such as "1 new error: KeyError orders/views.py:31 detail, 12 times", or ""."""
    new: list[Any] = [group for group in groups if not group["known"]]
    return f"{len(new)} new error{'s' * (len(new) > 1)}: {brief(new)}" if new else ""
