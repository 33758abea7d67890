"""Turns the hosts' pulses into a deploy or rollback that is under way. Does no I/O."""

from collections.abc import Mapping
from typing import Any

from ..screen import text_tables
from .watched import Answer, WatchedHost

FORWARD = ("promise", "commit")  # if these fail, hosts may go on


def underway(watched: Mapping[str, WatchedHost], now: float) -> dict[str, Any] | None:
    """Return the steps of a deploy or rollback by host, or None. Its seconds are those of the host that began first.
    `takeback`: why it is being taken back; None: it is not."""
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
        "takeback": takeback(pulses),
        "steps": [*names],
        "hosts": {
            name: {step["step"]: step_with_seconds(step, pulses[name], now) for step in each}
            for name, each in steps.items()
        },
    }


def step_with_seconds(step: Mapping[str, Any], pulse: Answer, now: float) -> dict[str, Any]:
    running = pulse.value["now"] - step["since"] + now - pulse.at
    return {"state": step["state"], "seconds": step.get("seconds", max(0.0, running))}


def takeback(pulses: Mapping[str, Answer]) -> str | None:
    """Return why hosts go back: as the deployer told one of them, else as the step that has failed says."""
    attempts = [pulse.value["underway"] for pulse in pulses.values() if pulse.value["underway"]]
    causes = [about["takeback"] for about in attempts if "takeback" in about]
    failed = [
        f"{name}: {step['step']}: {step.get('problem') or 'failed'}"
        for name, pulse in pulses.items()
        for step in pulse.value["steps"]
        if step["state"] == "failed" and step["step"] not in FORWARD
    ]
    if not causes and not failed:
        return None
    return next(filter(None, [*causes, *failed]), "")
