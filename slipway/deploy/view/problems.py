"""What is wrong on the hosts, and what is unknown. Does no I/O."""

from collections.abc import Iterator, Mapping, Sequence

from .. import backup_status, service_status
from ..agent.certificates import SOON, expiring_lines
from ..agent.message_types import Facts
from ..config import Fleet
from ..rollout import drift
from ..server import backups
from ..swarm import state as swarm_state
from . import figures
from .questions import questions
from .watched import NOT_ASKED, WatchedHost

SKEW = 2  # seconds by which a host's clock may be off
FAILED = 0.05  # share of visitors' requests that may end with 5xx, as by default while a release is watched
UNHEARD = 120  # seconds; more than the limit of one question
WINDOWS = (60, 300)  # seconds; a site with few visitors shows only in the longer time that most of them fail
Problems = dict[str, list[str]]


def of_fleet(fleet: Fleet, watched: Mapping[str, WatchedHost], now: float) -> Problems:
    """Return host name → what is wrong there: what `slipway status` would say, and what visitors get."""
    facts = facts_of(watched)
    by_host = drift.problems(fleet, [watched[name].host for name in facts], facts)
    return {name: [*by_host.get(name, []), *besides_facts(fleet, each, now)] for name, each in watched.items()}


def of_host(fleet: Fleet, watched: WatchedHost, now: float) -> list[str]:
    """Return what is wrong on a host, as far as it alone can tell."""
    return of_fleet(fleet, {watched.host.name: watched}, now)[watched.host.name]


def facts_of(watched: Mapping[str, WatchedHost]) -> dict[str, Facts]:
    return {name: each.value("facts") for name, each in watched.items() if each.value("facts")}


def besides_facts(fleet: Fleet, watched: WatchedHost, now: float) -> Iterator[str]:
    if answer := watched.value("services"):
        yield from service_status.problems(fleet.app, watched.host.services, answer["services"])
    if answer := watched.value("backups"):
        actions = backups.actions(fleet, watched.host)
        yield from backup_status.problems(answer, actions, fleet.watch["backup"])
    if served := watched.value("certificates"):
        yield from expiring_lines(served["ends"], served["now"], SOON)
    if swarm := watched.value("swarm"):
        yield from swarm_state.problems(swarm)
    yield from watched.failed.values()
    yield from clock_problem(watched)
    yield from visitors_problem(watched, now)


def clock_problem(watched: WatchedHost) -> Iterator[str]:
    if abs(watched.skew) > SKEW:
        side = "ahead of" if watched.skew > 0 else "behind"
        yield f"its clock is {abs(watched.skew):.0f} s {side} this machine's: timedatectl set-ntp true"


def visitors_problem(watched: WatchedHost, now: float) -> Iterator[str]:
    """Yield a line if visitors get errors: more than one, and more than a share of their requests. Not while they get
    the maintenance page, which is an error, too."""
    pulse = watched.answers.get("pulse")
    if watched.problem or pulse is None or pulse.value["closed"]:
        return
    for seconds in WINDOWS:
        recent = [bucket for bucket in watched.buckets.values() if bucket["at"] >= min(now, pulse.at) - seconds]
        sums = figures.totals([figures.point(now, recent)])
        if sums["errors"] > max(1, FAILED * sums["answers"]):
            share = round(100 * sums["errors"] / sums["answers"])
            yield (
                f"{share} % of visitors' requests failed with 5xx, {sums['errors']} of {sums['answers']} in"
                f" {seconds} s: slipway errors"
            )
            return


# ---- what is unknown ----


def state_of(fleet: Fleet, watched: WatchedHost, wrong: Sequence[str], now: float) -> str:
    """Return "silent", "unknown", "problem", "well", or "answers" if nothing was asked that could tell it is well."""
    if watched.problem:
        return "unknown" if watched.problem == NOT_ASKED else "silent"
    if wrong:
        return "problem"
    if unknown(fleet, watched) or unheard(watched, now):
        return "unknown"
    return "well" if watched.answers.keys() - {"pulse"} or is_visited(watched) else "answers"


def unheard(watched: WatchedHost, now: float) -> list[str]:
    """Return a line if the host has answered nothing for so long that nobody knows whether it is well: this machine has
    slept, or the connection hangs."""
    seconds = now - max((answer.at for answer in watched.answers.values()), default=now)
    return [f"no answer for {seconds / 60:.0f} minutes"] if not watched.problem and seconds > UNHEARD else []


def is_visited(watched: WatchedHost) -> bool:
    """Return True if visitors got answers a short time ago, as those of a balancer, which is asked for nothing else."""
    pulse = watched.answers["pulse"]
    return any(bucket["at"] >= pulse.at - max(WINDOWS) for bucket in watched.buckets.values())


def unknown(fleet: Fleet, watched: WatchedHost, requests: Sequence[str] = ()) -> list[str]:
    """Return why each of these requests has no answer, by default of all. Of a silent host nothing is known but what it
    said before."""
    names = [name for name in questions(fleet, watched.host) if not requests or name in requests]
    reasons = [watched.failed.get(name, NOT_ASKED) for name in names if name not in watched.answers]
    return [*dict.fromkeys(watched.problem or reason for reason in reasons)]
