"""Turns the hosts' last answers into what the page shows. Does no I/O."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import backup_status, service_status
from ..agent.certificates import SOON, expiring_lines
from ..agent.message_types import Facts
from ..config import Fleet, Host
from ..log.errors import merge_groups
from ..rollout import drift
from ..screen import text_tables
from ..server import backups
from . import figures, swarm
from .collect import Answer, WatchedHost
from .own_deploy import OwnDeploy

SKEW = 2  # seconds by which a host's clock may be off
RELEASES = 20
State = dict[str, Any]


def page(fleet: Fleet, watched: Mapping[str, WatchedHost], now: float, own: OwnDeploy | None = None) -> State:
    """Return all that the page shows, as JSON. `watched`: host name → what the host has said. `own`: the deploy that
    shows the page."""
    facts = {name: each.value("facts") for name, each in watched.items() if each.value("facts")}
    wrong = problems(fleet, watched, facts)
    outcomes = text_tables.outcomes(facts)
    return {
        "app": fleet.app,
        "now": now,
        "hosts": [host_state(each, facts.get(name), wrong.get(name, []), now) for name, each in watched.items()],
        "visitors": visitors(fleet, watched, now),
        "marks": [*chart_marks(outcomes, watched)],
        "errors": errors(watched),
        "releases": [release_state(entry) for entry in outcomes[::-1][:RELEASES]],
        "work": {"celery": celery(watched), "tasks": tasks(facts), "timed": [*timed_commands(facts)]},
        "data": [*backup_lines(watched)],
        "underway": underway(watched, now),
        "own": own.shown() if own else None,
        "swarm": swarm.releases(watched) if fleet.is_swarm else None,
    }


# ---- hosts ----


def host_state(watched: WatchedHost, facts: Facts | None, wrong: Sequence[str], now: float) -> State:
    pulse = watched.answers.get("pulse")
    host = watched.host
    return {
        "name": host.name,
        "kinds": [*(["balancer"] if host.balancer else []), *host.roles, *host.services],
        "silent": watched.problem,
        "silence": max(0, round(now - watched.since)),
        "age": age_of(pulse or watched.answers.get("swarm"), now),
        "facts_age": age_of(watched.answers.get("facts"), now),
        "pulse": pulse and {key: pulse.value[key] for key in ("load", "cpus", "memory", "disks")},
        "processes": [*(processes(host, facts) if facts else swarm.containers(watched))],
        "services": services(watched),
        "notes": [*(facts["notes"] if facts else [])],
        "problems": [*wrong, *([skew] if (skew := clock_problem(watched)) else [])],
        "rates": [
            sum(point[digit] or 0 for digit in figures.CLASSES) / figures.SPANS[900]
            for point in figures.series(watched.buckets.values(), 900, now)
        ],
    }


def age_of(answer: Answer | None, now: float) -> float | None:
    return None if answer is None else max(0.0, round(now - answer.at, 1))


def processes(host: Host, facts: Facts) -> Iterator[State]:
    """Yield what `slipway status` shows of each process, and of the old release."""
    for _, role, release, slot, state, since, _ in text_tables.rows(host, facts):
        yield {"role": role, "release": release, "slot": slot, "state": state, "since": since}


def services(watched: WatchedHost) -> list[State]:
    answer = watched.value("services") or {"services": {}}
    rows = text_tables.service_rows(
        watched.host.name, {kind: answer["services"][kind] for kind in known_services(watched, answer)}
    )
    return [
        {"role": kind, "release": version, "state": state, "since": since}
        for _, kind, version, _, state, since, _ in rows
    ]


def known_services(watched: WatchedHost, answer: Mapping[str, Any]) -> list[str]:
    return [kind for kind in watched.host.services if kind in answer["services"]]


def clock_problem(watched: WatchedHost) -> str:
    """Return a line if the host's clock is off."""
    if abs(watched.skew) <= SKEW:
        return ""
    side = "ahead of" if watched.skew > 0 else "behind"
    return f"its clock is {abs(watched.skew):.0f} s {side} this machine's: timedatectl set-ntp true"


def problems(fleet: Fleet, watched: Mapping[str, WatchedHost], facts: Mapping[str, Facts]) -> dict[str, list[str]]:
    """Return host name → what `slipway status` would say is wrong there."""
    by_host = drift.problems(fleet, [watched[name].host for name in facts], facts)
    for name, each in watched.items():
        problems_of_host = [
            *service_problems(fleet, each),
            *backup_problems(fleet, each),
            *certificate_problems(each),
            *swarm.problems(each),
            *each.failed.values(),
        ]
        if problems_of_host:
            by_host[name] = [*by_host.get(name, []), *problems_of_host]
    return by_host


def service_problems(fleet: Fleet, watched: WatchedHost) -> Iterator[str]:
    if answer := watched.value("services"):
        yield from service_status.problems(fleet.app, watched.host.services, answer["services"])


def backup_problems(fleet: Fleet, watched: WatchedHost) -> Iterator[str]:
    if answer := watched.value("backups"):
        actions = backups.actions(fleet, watched.host)
        yield from backup_status.problems(answer, actions, fleet.watch["backup"])


def certificate_problems(watched: WatchedHost) -> Iterator[str]:
    if served := watched.value("certificates"):
        yield from expiring_lines(served["ends"], served["now"], SOON)


# ---- visitors, errors, releases ----


def visitors(fleet: Fleet, watched: Mapping[str, WatchedHost], now: float) -> State:
    """Return the charts' points by span. Balancers see all visitors; without one, web hosts do."""
    counting = [each for each in watched.values() if each.host.balancer]
    counting = counting or [each for each in watched.values() if each.host.has("web")]
    buckets = [bucket for each in counting for bucket in each.buckets.values()]
    spans = {span: figures.series(buckets, span, now) for span in figures.SPANS}
    return {
        "hosts": [each.host.name for each in counting],
        "complete": all(each.complete for each in counting),
        "spans": [
            {
                "seconds": span,
                "step": figures.SPANS[span],
                "points": points,
                **figures.totals(points),
            }
            for span, points in spans.items()
        ],
    }


def errors(watched: Mapping[str, WatchedHost]) -> State:
    answers = {name: copy.deepcopy(each.value("errors")) for name, each in watched.items() if each.value("errors")}
    return {
        "groups": merge_groups(answers),
        "unknown": [name for name, each in watched.items() if each.host.roles and name not in answers],
    }


def release_state(entry: Mapping[str, Any]) -> State:
    names = ("action", "tag", "outcome", "at", "seconds", "hosts", "cause")
    return {
        **{name: entry[name] for name in names},
        "by": text_tables.who_deployed(entry),
        "settings": entry.get("settings", ""),
        "migrations": entry["migrations"],
    }


def chart_marks(outcomes: Sequence[Mapping[str, Any]], watched: Mapping[str, WatchedHost]) -> Iterator[State]:
    """Yield what may explain a change in the visitors' chart."""
    for entry in outcomes:
        kind = entry["action"] if entry["outcome"] == "committed" else "taken back"
        yield {"at": entry["at"], "kind": kind, "text": f"{kind} {entry['tag']}"}
    for at in sorted({at for each in watched.values() for at in each.closed}):
        yield {"at": at, "kind": "maintenance", "text": "maintenance page"}
    for each in watched.values():
        run = (each.value("backups") or {"runs": {}})["runs"].get("base", {})
        if run.get("at"):
            yield {"at": run["at"], "kind": "backup", "text": f"backup of {each.host.name}"}


# ---- work, data, a deploy that is under way ----


def celery(watched: Mapping[str, WatchedHost]) -> State | None:
    """Return what a web host knows of Celery, None if no host knows any."""
    answers = [each.value("celery") for each in watched.values()]
    return next((answer for answer in answers if answer and answer["dead"] is not None), None)


def tasks(facts: Mapping[str, Facts]) -> list[str]:
    return [*dict.fromkeys(text for host_facts in facts.values() for text in host_facts["tasks"])]


def timed_commands(facts: Mapping[str, Facts]) -> Iterator[State]:
    for name, host_facts in facts.items():
        for role, unit in host_facts["timed"].items():
            yield {
                "host": name,
                "role": role,
                "state": unit["state"],
                "health": unit.get("health", ""),
                "last": text_tables.format_moment(unit["since"]),
                "next": text_tables.format_moment(unit.get("next")),
            }


def backup_lines(watched: Mapping[str, WatchedHost]) -> Iterator[State]:
    for name, each in watched.items():
        if answer := each.value("backups"):
            yield {"host": name, "text": backup_status.line(answer), "note": backup_status.note(answer)}


def underway(watched: Mapping[str, WatchedHost], now: float) -> State | None:
    """Return the steps of a deploy or rollback by host, or None. Its seconds are those of the host that began first."""
    pulses = {
        name: each.answers["pulse"] for name, each in watched.items() if "pulse" in each.answers and not each.problem
    }
    begun = [pulse for pulse in pulses.values() if pulse.value["underway"]]
    if not begun:
        return None
    first = max(begun, key=lambda pulse: pulse.value["underway"]["seconds"] + now - pulse.at)
    steps = {name: pulse.value["steps"] for name, pulse in pulses.items() if pulse.value["steps"]}
    names = dict.fromkeys(step["step"] for each in steps.values() for step in each)
    about = first.value["underway"]
    return {
        **{key: about[key] for key in ("action", "tag")},
        "by": text_tables.who_deployed(about),
        "seconds": about["seconds"] + now - first.at,
        "steps": [*names],
        "hosts": {
            name: {step["step"]: step_with_seconds(step, pulses[name], now) for step in each}
            for name, each in steps.items()
        },
    }


def step_with_seconds(step: Mapping[str, Any], pulse: Answer, now: float) -> State:
    running = pulse.value["now"] - step["since"] + now - pulse.at
    return {"state": step["state"], "seconds": step.get("seconds", max(0.0, running))}
