"""When a rule that is broken becomes an alert, and when that is over. Pure: the clock is the caller's.

As Prometheus has it with `for` and `keep_firing_for`: broken for `wait` seconds on end, then kept for `calm` seconds
on end. So what comes and goes is one alert. What nobody can tell is not kept, nor is it broken: a host whose disk was
full, and that has died of it, is no better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..config import Fleet, Host
from .measures import Reading
from .rules import Rule, rules

BROKEN, OVER = "broken", "over"


@dataclass(frozen=True)
class State:
    """How a rule stands. `since`: when it was first seen broken; `kept`: since when it is kept again; None where it is
    not. `last`: what it was when last broken."""

    alert: bool = False
    since: float | None = None
    kept: float | None = None
    last: Reading = Reading(None)


@dataclass(frozen=True)
class Alert:
    """What is told, once."""

    rule: Rule
    state: str
    at: float
    reading: Reading


def step(state: State, broken: bool, reading: Reading, now: float, wait: float, calm: float) -> tuple[State, str]:
    """(how it stands now, what is to be told: broken, over or nothing)."""
    gone = tuple(host for host in state.last.about if host in reading.unknown)
    if broken:
        since = now if state.since is None else state.since
        told = not state.alert and now - since >= wait
        last = replace(reading, about=reading.about + gone)
        return State(state.alert or told, since, None, last), BROKEN if told else ""
    if not state.alert:
        return State(), ""
    if reading.value is None or gone:
        return replace(state, kept=None), ""
    kept = now if state.kept is None else state.kept
    return (State(), OVER) if now - kept >= calm else (replace(state, kept=kept), "")


class Alerts:
    """How all rules of a fleet stand."""

    def __init__(self, rules: tuple[Rule, ...], wait: float, calm: float) -> None:
        self.rules, self.wait, self.calm = rules, wait, calm
        self.states = {rule.name: State() for rule in rules}

    @classmethod
    def of(cls, fleet: Fleet, hosts: Sequence[Host]) -> "Alerts":
        """Those of a fleet, of which these hosts count."""
        return cls(rules(fleet, hosts), fleet.watch["ttl"], fleet.watch["over"])

    def look(self, readings: Mapping[str, Reading], now: float) -> list[Alert]:
        """What is to be told, with these readings, at this time."""
        told = []
        for rule in self.rules:
            reading = readings[rule.name]
            self.states[rule.name], word = step(
                self.states[rule.name], rule.broken(reading.value), reading, now, self.wait, self.calm)
            if word:
                told.append(Alert(rule, word, now, reading))
        return told
