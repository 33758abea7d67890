"""Turns the hosts' last answers into what the page shows. Does no I/O."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import backup_status
from ..agent.message_types import Facts
from ..config import Fleet, Host
from ..log.errors import merge_groups
from ..screen import text_tables
from . import figures, problems, swarm
from .own_deploy import OwnDeploy
from .questions import questions
from .underway import underway
from .watched import NOT_ASKED, Answer, WatchedHost

RELEASES = 20
# The parts of the page → the requests whose answers they show.
SOURCES = {"errors": ["errors"], "work": ["facts", "celery"], "releases": ["facts", "swarm"], "data": ["backups"]}
State = dict[str, Any]


def page(fleet: Fleet, watched: Mapping[str, WatchedHost], now: float, own: OwnDeploy | None = None) -> State:
    """Return all that the page shows, as JSON. `watched`: host name → what the host has said. `own`: the deploy that
    shows the page."""
    facts = problems.facts_of(watched)
    wrong = problems.of_fleet(fleet, watched, now)
    outcomes = text_tables.outcomes(facts)
    return {
        "app": fleet.app,
        "now": now,
        "hosts": [host_state(fleet, each, wrong[name], now) for name, each in watched.items()],
        "visitors": visitors(watched, now),
        "marks": [*chart_marks(outcomes, watched)],
        "errors": {"groups": error_groups(watched)},
        "releases": [release_state(entry) for entry in outcomes[::-1][:RELEASES]],
        "work": {"celery": celery(watched), "tasks": tasks(facts), "timed": [*timed_commands(facts)]},
        "data": [*backup_states(watched)],
        "sources": {part: source(fleet, watched, requests) for part, requests in SOURCES.items()},
        "underway": underway(watched, now),
        "own": own.shown() if own else None,
        "swarm": swarm.releases(watched) if fleet.is_swarm else None,
    }


def source(fleet: Fleet, watched: Mapping[str, WatchedHost], requests: Sequence[str]) -> State:
    """Return what a part of the page rests on. `asked`: host → when the oldest of its answers came; `unknown`: the
    hosts without one of the answers, and why."""
    asked = {name: each.oldest(requests) for name, each in watched.items()}
    unknown = {name: problems.unknown(fleet, each, requests) for name, each in watched.items()}
    return {
        "asked": {name: at for name, at in asked.items() if at is not None},
        "unknown": [{"host": name, "why": "; ".join(reasons)} for name, reasons in unknown.items() if reasons],
    }


# ---- hosts ----


def host_state(fleet: Fleet, watched: WatchedHost, wrong: Sequence[str], now: float) -> State:
    pulse = watched.answers.get("pulse")
    facts = watched.value("facts")
    host = watched.host
    requests = [name for name in questions(fleet, host) if name != "errors"]
    return {
        "name": host.name,
        "kinds": [*(["balancer"] if host.balancer else []), *host.roles, *host.services],
        "state": problems.state_of(fleet, watched, wrong, now),
        "silent": watched.problem,
        "since": watched.since,
        "age": age_of(pulse or watched.answers.get("swarm"), now),
        "facts_age": age_of(watched.answers.get("facts"), now),
        "asked": watched.oldest(requests or ("pulse", "swarm")),
        "pulse": pulse and {key: pulse.value[key] for key in ("load", "cpus", "memory", "disks")},
        "processes": [*(processes(host, facts) if facts else swarm.containers(watched))],
        "services": services(watched),
        "notes": [*(facts["notes"] if facts else [])],
        "closed": bool(pulse and pulse.value["closed"]),
        "problems": watched.dated(wrong, now),
        "unknown": [*problems.unknown(fleet, watched), *problems.unheard(watched, now)],
        "rates": rates(watched),
    }


def age_of(answer: Answer | None, now: float) -> float | None:
    return None if answer is None else max(0.0, round(now - answer.at, 1))


def rates(watched: WatchedHost) -> list[float] | None:
    """Return the visitors' requests a second of the last 15 minutes, up to the last answer; None if unknown."""
    if why_uncounted(watched):
        return None
    points = figures.series(watched.buckets.values(), 900, watched.answers["pulse"].at)
    return [sum(point[digit] or 0 for digit in figures.CLASSES) / figures.SPANS[900] for point in points]


def processes(host: Host, facts: Facts) -> Iterator[State]:
    """Yield what `slipway status` shows of each process, and of the other slot's release."""
    units = {**facts["alone"], **facts["timed"], **facts["slots"].get(facts["live"] or "", {"units": {}})["units"]}
    for _, role, release, slot, state, _, _ in text_tables.rows(host, facts):
        since = units[role]["since"] if role in units else None
        yield {"role": role, "release": release, "slot": slot, "state": state, "since": moment_state(since)}


def moment_state(text: str | None) -> float | str | None:
    """Return a host's time in seconds, so that the page has one form of time; else its own words, if there are any."""
    at = text_tables.moment(text)
    return text or None if at is None else at


def services(watched: WatchedHost) -> list[State]:
    answer = watched.value("services") or {"services": {}}
    known = {kind: answer["services"][kind] for kind in watched.host.services if kind in answer["services"]}
    return [
        {"role": kind, "release": version, "state": state, "since": moment_state(known[kind]["since"])}
        for _, kind, version, _, state, _, _ in text_tables.service_rows(watched.host.name, known)
    ]


# ---- visitors, errors, releases ----


def visitors(watched: Mapping[str, WatchedHost], now: float) -> State:
    """Return the charts' points by span. Balancers see all visitors; without one, web hosts do. The newest point is one
    that all hosts have told of, but for those whose visitors are unknown."""
    counting = [each for each in watched.values() if each.host.balancer]
    counting = counting or [each for each in watched.values() if each.host.has("web")]
    unknown = {each.host.name: why for each in counting if (why := why_uncounted(each))}
    told = [each.answers["pulse"].at for each in counting if each.host.name not in unknown]
    buckets = [bucket for each in counting for bucket in each.buckets.values()]
    until = min([now, *told])
    spans = {span: figures.series(buckets, span, until) for span in figures.SPANS}
    return {
        "hosts": [each.host.name for each in counting],
        "complete": all(each.complete for each in counting),
        "asked": {each.host.name: at for each in counting if (at := each.oldest(["pulse"])) is not None},
        "unknown": [{"host": name, "why": why} for name, why in unknown.items()],
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


def why_uncounted(watched: WatchedHost) -> str:
    """Return why a host's visitors are unknown now, or ""."""
    pulse = watched.value("pulse")
    if watched.problem or pulse is None:
        return watched.problem or NOT_ASKED
    return "" if pulse["traffic"]["place"] else "nginx has no log of them"


def error_groups(watched: Mapping[str, WatchedHost]) -> list[Any]:
    answers = {name: copy.deepcopy(each.value("errors")) for name, each in watched.items() if each.value("errors")}
    return merge_groups(answers)


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


# ---- work, data ----


def celery(watched: Mapping[str, WatchedHost]) -> State | None:
    """Return what the web host that was asked last knows of Celery, None if no host knows any."""
    answers = [each.answers["celery"] for each in watched.values() if "celery" in each.answers]
    answers.sort(key=lambda answer: answer.at, reverse=True)
    return next((answer.value for answer in answers if answer.value["dead"] is not None), None)


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
                "last": moment_state(unit["since"]),
                "next": moment_state(unit.get("next")),
            }


def backup_states(watched: Mapping[str, WatchedHost]) -> Iterator[State]:
    for name, each in watched.items():
        if answer := each.value("backups"):
            drill = answer["runs"].get("drill") or {}
            yield {
                "host": name,
                "until": backup_status.newest(answer),
                "drill": {key: drill.get(key, 0) for key in ("at", "rows", "restored")} if drill.get("at") else None,
                "note": backup_status.note(answer),
            }
