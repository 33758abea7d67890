"""What a host's facts and figures say to the rules. Pure. Its words are not trusted: what makes no sense is nothing."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..agent.answers import Facts
from ..config import Host
from ..rollout.drift import EMPTY, running
from ..ssh.validate import brief
from .measures import Sample

ANSWERS, AGES = "http_requests_total", "celery_heartbeat_age_seconds"
LINE = re.compile(r'(\w+)\{(\w+)="([^"\\]*)"\} (\S+)')  # of those two, which have a label each
WELL = ("ready", "consuming", "paused")  # a deploy pauses a worker that is about to go
GREATEST = 2**53


def sample(host: Host, at: float, facts: Facts) -> Sample:
    """What they say at this time."""
    web: Mapping[str, Any] = facts["slots"].get(facts["live"] or "", EMPTY)["units"].get("web") or {}
    found = list(figures(web.get("figures", ())))
    answers = {label: value for name, label, value in found if name == ANSWERS}
    ages = {label: value for name, label, value in found if name == AGES}
    free = [free for path, free in facts["free"].items() if path != "/run"]  # which is memory
    return Sample(host.name, at, brief(ill(host, facts)), answers or None, ages, min(free, default=None),
                  facts["live"] or "", web.get("since") or "")


def ill(host: Host, facts: Facts) -> str:
    """What of a host does not run, or not well, in a few words; "": all of it does."""
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    for role in host.roles:
        unit: Mapping[str, Any] = facts["alone"].get(role) or slot["units"].get(role) or {}
        if not running(unit):
            return f"{role} is {unit.get('state') or 'not there'}"
        if (health := unit.get("health", "ready")) not in WELL:
            return f"{role}: {health}"
    return ""


def figures(lines: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """(name, label, value) of the lines of /metrics that have a label."""
    for line in lines:
        match = LINE.fullmatch(line)
        try:
            value = float(match[4]) if match else math.nan
        except ValueError:
            continue
        if match and 0 <= value < GREATEST:
            yield match[1], match[3], value
