"""What the rules measure, from what hosts and places have said over time. Pure: the clock is the caller's."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import Fleet, Host
from .rules import DAY, LEAST, Rule

HERE = "here"  # the place of who watches


@dataclass(frozen=True)
class Sample:
    """What a host has said. `problem`: why it is not up; "": it is. `answers`: class of status → how many since a
    start, None: it told no figures. `ages`: part → seconds since its heartbeat. `free`: the least bytes of its disks.
    `slot`: which one is live, and told the figures; `boot`: when that began to run.
    """

    host: str
    at: float
    problem: str = ""
    answers: Mapping[str, float] | None = None
    ages: Mapping[str, float] = field(default_factory=dict)
    free: float | None = None
    slot: str = ""
    boot: str = ""


@dataclass(frozen=True)
class Reach:
    """Whether a place reached the front page; when its certificate ends, if it has one."""

    place: str
    at: float
    problem: str = ""
    ends: float | None = None


@dataclass(frozen=True)
class Reading:
    """What a rule has measured, None where nobody can tell, and the hosts or places it is about. `unknown`: the hosts
    of which it cannot tell."""

    value: float | None
    about: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass
class Window:
    """Two numbers at each of some times, and their sums. Whole numbers: sums of others would drift."""

    noted: deque[tuple[float, float, float]] = field(default_factory=deque)
    first: float = 0
    second: float = 0

    def add(self, at: float, first: float, second: float = 0) -> None:
        """Note two more."""
        self.noted.append((at, first, second))
        self.first, self.second = self.first + first, self.second + second

    def forget(self, until: float) -> None:
        """Drop what was noted until then."""
        while self.noted and self.noted[0][0] <= until:
            _, first, second = self.noted.popleft()
            self.first, self.second = self.first - first, self.second - second


@dataclass
class Memory:
    """What was heard of these hosts (name → whether it has the role web) and places since `began`."""

    hosts: Mapping[str, bool]
    places: tuple[str, ...]
    over: float
    ttl: float
    began: float
    last: dict[str, Sample] = field(default_factory=dict)  # host → its last word
    up: dict[str, float] = field(default_factory=dict)  # host → when it last was up
    told: dict[str, Sample] = field(default_factory=dict)  # host → when it last told figures
    reached: dict[str, Reach] = field(default_factory=dict)  # place → when it last reached the front page
    asked: dict[str, Reach] = field(default_factory=dict)  # place → its last word
    answers: Window = field(default_factory=Window)  # answers, errors
    counts: Window = field(default_factory=Window)  # hosts that were up

    def hear(self, sample: Sample) -> None:
        """Take what a host has said."""
        if not sample.problem:
            self.up[sample.host] = sample.at
        if sample.answers is not None:
            before = self.told.get(sample.host)
            if before and before.slot == sample.slot and sample.at - before.at <= self.over:
                grown = growth((before.answers or {}) if before.boot == sample.boot else {}, sample.answers)
                self.answers.add(sample.at, round(sum(grown.values())), round(grown.get("5xx", 0)))
            self.told[sample.host] = sample
        self.last[sample.host] = sample

    def reach(self, reach: Reach) -> None:
        """Take what a place has said."""
        self.asked[reach.place] = reach
        if not reach.problem:
            self.reached[reach.place] = reach

    def tick(self, now: float) -> None:
        """Note how many hosts are up, as often as rules are looked at, once it can be told."""
        self.answers.forget(now - self.over)
        self.counts.forget(now - self.over)
        if self.settled(now, self.last, len(self.hosts)):
            self.counts.add(now, len(self.hosts) - len(self.dark(now)))

    def settled(self, now: float, heard: Mapping[str, object], wanted: int) -> bool:
        """Whether silence counts: all have been heard, or had the time."""
        return len(heard) >= wanted or now - self.began > self.ttl

    def fresh(self, at: float, now: float) -> bool:
        """Whether that is not too long ago."""
        return now - at <= self.ttl

    def dark(self, now: float) -> tuple[str, ...]:
        """The hosts that are not up."""
        return tuple(host for host in self.hosts if not self.fresh(self.up.get(host, -math.inf), now))

    def figures(self, now: float) -> Iterator[Sample]:
        """What hosts have told lately."""
        return (sample for sample in self.told.values() if self.fresh(sample.at, now))


def memory_of(fleet: Fleet, hosts: Sequence[Host], now: float) -> Memory:
    """What a watcher of these hosts knows as it begins."""
    watch = fleet.watch
    places = (HERE, *watch["probes"]) if watch["front"] else ()
    return Memory({host.name: host.has("web") for host in hosts}, places, watch["over"], watch["ttl"], now)


def growth(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """By how much counters of one slot have grown. Where one is less than it was, all have begun anew."""
    anew = any(now.get(kind, 0) < was for kind, was in before.items())
    return {kind: value - (0 if anew else before.get(kind, 0)) for kind, value in now.items()}


# ---- by the name of a rule ----

def hosts_up(memory: Memory, rule: Rule, now: float) -> Reading:
    """By whole numbers: so 4 of 5 are 0.8, not a little less."""
    if not (looks := len(memory.counts.noted)):
        return Reading(None)
    return Reading(memory.counts.first / (len(memory.hosts) * looks), memory.dark(now))


def errors(memory: Memory, rule: Rule, now: float) -> Reading:
    answers = memory.answers.first
    return Reading(memory.answers.second / answers if answers >= LEAST else None)


def figures(memory: Memory, rule: Rule, now: float) -> Reading:
    web = [host for host, is_web in memory.hosts.items() if is_web and host not in memory.dark(now)]
    return Reading(float(len(list(memory.figures(now)))), tuple(web)) if web else Reading(None)


def heartbeat(memory: Memory, rule: Rule, now: float) -> Reading:
    told = list(memory.figures(now))
    return Reading(min((sample.ages.get(rule.name, math.inf) for sample in told), default=None))


def front(memory: Memory, rule: Rule, now: float) -> Reading:
    if not memory.settled(now, memory.asked, len(memory.places)):
        return Reading(None)
    silent = tuple(place for place in memory.places
                   if place not in memory.reached or not memory.fresh(memory.reached[place].at, now))
    return Reading(float(len(memory.places) - len(silent)), silent)


def certificate(memory: Memory, rule: Rule, now: float) -> Reading:
    ends = [reach.ends for reach in memory.reached.values() if reach.ends is not None and memory.fresh(reach.at, now)]
    return Reading((min(ends) - now) / DAY if ends else None)


def disk(memory: Memory, rule: Rule, now: float) -> Reading:
    free = {host: sample.free for host, sample in memory.last.items()
            if sample.free is not None and memory.fresh(sample.at, now)}
    return Reading(min(free.values(), default=None), tuple(host for host in free if rule.broken(free[host])),
                   tuple(host for host in memory.hosts if host not in free))


MEASURES: dict[str, Callable[[Memory, Rule, float], Reading]] = {
    "hosts_up": hosts_up, "errors": errors, "figures": figures, "worker": heartbeat, "beat": heartbeat, "front": front,
    "certificate": certificate, "disk": disk}


def look(memory: Memory, rules: tuple[Rule, ...], now: float) -> dict[str, Reading]:
    """Rule's name → what it measures now. To be called as often as hosts are asked."""
    memory.tick(now)
    return {rule.name: MEASURES[rule.name](memory, rule, now) for rule in rules}
