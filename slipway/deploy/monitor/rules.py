"""Whether enough of a fleet is up and has room, and when that becomes an alert. Pure: the clock is the caller's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..agent.answers import Facts
from ..config import Host
from ..rollout.drift import EMPTY, running
from ..rollout.preflight import mega

WELL = ("ready", "consuming", "paused")  # a deploy pauses a worker that is about to go
SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}
CALM = 5  # times ttl: so long must a rule be kept on end until its alert is over


class Rule(NamedTuple):
    """How a rule stands: the hosts by which it is broken, or would be, and what there is to say of it."""

    name: str
    broken: bool
    hosts: tuple[str, ...]
    text: str


@dataclass
class Rules:
    """What was heard of these hosts since `began`, and which rules have an alert. `share`: of hosts that must be up;
    `room`: bytes that must be free; `ttl`: seconds for which a host counts as up after it was."""

    hosts: Sequence[str]
    share: float
    room: int
    ttl: float
    began: float
    problems: dict[str, str] = field(default_factory=dict)  # host → why it is not up, by its last word
    up: dict[str, float] = field(default_factory=dict)  # host → when it last was
    free: dict[str, int] = field(default_factory=dict)  # host → the least bytes of its disks; of one that died its last
    alerts: dict[str, float] = field(default_factory=dict)  # rule with an alert → when it was last broken

    def hear(self, host: str, problem: str, now: float, free: int | None = None) -> bool:
        """Take what a host has said; whether that differs from its word before."""
        before = self.problems.get(host)
        self.problems[host] = problem
        if not problem:
            self.up[host] = now
        if free is not None:
            self.free[host] = free
        return before != problem

    def stand(self, now: float) -> Iterator[Rule]:
        """All rules. A host that has not been up for ttl is dark; at the begin it has as long."""
        return self._stand(tuple(host for host in self.hosts if now - self.up.get(host, self.began) > self.ttl))

    def at_once(self) -> Iterator[Rule]:
        """All rules by the last words alone."""
        return self._stand(tuple(host for host in self.hosts if self.problems.get(host, "silent")))

    def _stand(self, dark: tuple[str, ...]) -> Iterator[Rule]:
        up, full = len(self.hosts) - len(dark), tuple(host for host, free in self.free.items() if free < self.room)
        yield Rule("hosts_up", up / len(self.hosts) < self.share, dark,
                   f"{up} of {len(self.hosts)} hosts up, the limit is {self.share * 100:g} %")
        if self.free:
            yield Rule("disk", bool(full), full, f"{mega(min(self.free.values()))} of disk free, the limit is"
                                                 f" {mega(self.room)}")

    def changes(self, now: float) -> Iterator[tuple[str, Rule]]:
        """("broken" or "over", a rule) for each alert that begins or ends now."""
        for rule in self.stand(now):
            if rule.broken:
                if rule.name not in self.alerts:
                    yield "broken", rule
                self.alerts[rule.name] = now
            elif now - self.alerts.get(rule.name, now) >= CALM * self.ttl:
                del self.alerts[rule.name]
                yield "over", rule


def sickness(host: Host, facts: Facts) -> str:
    """What of a host does not run, or not well, in a few words; "": all of it does."""
    slot = facts["slots"].get(facts["live"] or "", EMPTY)
    for role in host.roles:
        unit: Any = facts["alone"].get(role) or slot["units"].get(role) or {}
        if not running(unit):
            return f"{role} is {unit.get('state') or 'not there'}"
        if (health := unit.get("health", "ready")) not in WELL:
            return f"{role}: {health}"
    return facts["blind"]


def room(facts: Facts) -> int | None:
    """The least bytes that a disk of a host has free; /run is memory."""
    return min((free for path, free in facts["free"].items() if path != "/run"), default=None)


def size(text: str) -> int:
    """Bytes of a size such as 2g."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)
