"""The rules of `watch`: enough hosts are up, no disk is too full, certificates do not end, services and backups work.
Does no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .rollout.preflight import megabytes

CALM = 5  # an alert ends after CALM * ttl seconds in which its rule was not broken


class Rule(NamedTuple):
    """The state of a rule ("hosts_up", "disk", "errors", "certificates", "services", "backup"). `hosts`: those that
    break it."""

    name: str
    broken: bool
    hosts: tuple[str, ...]
    text: str


@dataclass
class Rules:
    """Keeps each host's last answer. Begins an alert if too few hosts are up, a disk is too full, a certificate ends
    soon, a service does not answer, or a backup is too old."""

    hosts: Sequence[str]
    share: float  # the share of the hosts that must be up, from 0 to 1
    room: int  # bytes that must be free on each disk
    ttl: float  # seconds without a good answer after which a host counts as down
    began: float  # the time at which each host counts as up
    problems: dict[str, str] = field(default_factory=dict)  # host → its last problem, or ""
    up: dict[str, float] = field(default_factory=dict)  # host → the time when it was last up
    free: dict[str, int] = field(default_factory=dict)  # host → free bytes of its fullest disk, by its last answer
    ending: dict[str, list[str]] = field(default_factory=dict)  # host that ends TLS → its certificates that end soon
    services: dict[str, list[str]] = field(default_factory=dict)  # host with services → those that do not answer
    served: dict[str, float] = field(default_factory=dict)  # such a host → the time when all of its services answered
    backups: dict[str, list[str]] = field(default_factory=dict)  # host that sends backups → what is wrong with them
    alerts: dict[str, float] = field(default_factory=dict)  # rule with an alert → when the rule was last broken

    def note_host(self, host: str, problem: str, now: float, free: int | None = None) -> bool:
        """Store a host's answer. `problem`: a text, or "" if the host is up. `now`: the time in seconds. `free`: free
        bytes of its fullest disk, None if unknown. Return True if the problem has changed."""
        before = self.problems.get(host)
        self.problems[host] = problem
        if not problem:
            self.up[host] = now
        if free is not None:
            self.free[host] = free
        return before != problem

    def note_services(self, host: str, problems: list[str], now: float) -> None:
        self.services[host] = problems
        if not problems:
            self.served[host] = now

    def states(self, now: float) -> Iterator[Rule]:
        """Yield each rule's state."""
        dark = tuple(host for host in self.hosts if now - self.up.get(host, self.began) > self.ttl)
        up = len(self.hosts) - len(dark)
        full = tuple(host for host, free in self.free.items() if free < self.room)
        yield Rule(
            "hosts_up",
            up / len(self.hosts) < self.share,
            dark,
            f"{up} of {len(self.hosts)} hosts up, the minimum is {self.share * 100:g} %",
        )
        if self.free:
            yield Rule(
                "disk",
                bool(full),
                full,
                f"{megabytes(min(self.free.values()))} of disk free, the minimum is {megabytes(self.room)}",
            )
        if self.ending:
            yield rule_of("certificates", self.ending, "none ends soon")
        if self.services:
            away = {
                host: texts
                for host, texts in self.services.items()
                if now - self.served.get(host, self.began) > self.ttl
            }
            yield rule_of("services", away, "all answer")
        if self.backups:
            yield rule_of("backup", self.backups, "all are new")

    def changes(self, now: float) -> Iterator[tuple[str, Rule]]:
        """Yield ("broken", rule) when an alert begins, and ("over", rule) when it ends."""
        for rule in self.states(now):
            if rule.broken:
                if rule.name not in self.alerts:
                    yield "broken", rule
                self.alerts[rule.name] = now
            elif now - self.alerts.get(rule.name, now) >= CALM * self.ttl:
                del self.alerts[rule.name]
                yield "over", rule


def rule_of(name: str, warnings: Mapping[str, Sequence[str]], well: str) -> Rule:
    """Return a rule that is broken by each host with a warning. `warnings`: host → its texts."""
    hosts = tuple(host for host, texts in warnings.items() if texts)
    return Rule(name, bool(hosts), hosts, warnings[hosts[0]][0] if hosts else well)
