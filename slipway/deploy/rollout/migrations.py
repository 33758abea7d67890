"""Decides if a rollout may go on: the older release must be able to work with the newer migrations. Does no I/O."""

from collections.abc import Mapping
from typing import Any

from ..errors import Refused
from .plan import PENDING, Step

HARMS = {
    "deploy": "the live release cannot work with these migrations: split them into two releases, or"
    " take the risk with --allow-incompatible:",
    "rollback": "the older release cannot work with these applied migrations (--allow-incompatible takes the risk):",
}
UNKNOWN = {
    "deploy": "the build did not check if the live release can work with these migrations: {cure}"
    " (--allow-incompatible does not allow unchecked ones):",
    "rollback": "the build did not check if the older release can work with these applied migrations: {cure}"
    " (--allow-incompatible takes the risk):",
}
LACKING = (
    "the new release does not fit the database, as if somebody changed it by hand (--allow-incompatible takes the"
    " risk):"
)
UNCOMPARED = (
    "nobody compared the database with what the new release uses, as its web does: it may have been changed by hand"
)
UNTOLD = (
    "it is unknown if the older release can work with the applied migrations: {why}; try again, or take the"
    " risk with --allow-incompatible"
)


def needed_steps(group: tuple[Step, ...], judged: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the steps. If the new release reported no pending migration, leave out steps marked PENDING."""
    return tuple(step for step in group if not (step.where == PENDING and judged.get("applied") is True))


def harm(action: str, incompatible: Mapping[str, str]) -> list[str]:
    return [HARMS[action], *(f"  {name}: {text}" for name, text in sorted(incompatible.items()))]


def check(answers: Mapping[tuple[str, str], Any], action: str, allowed: bool, urgent: bool = False) -> list[str]:
    """Return warnings. Raise Refused if migrations forbid the rollout. With `allowed`, accept incompatible
    migrations. With `allowed` or `urgent` (a rollback without --to), accept unchecked ones newer than the target."""
    refused: list[list[str]] = []
    passed: list[list[str]] = []
    warnings: list[str] = []
    for answer in (answer for (step, _), answer in answers.items() if step == "verdicts"):
        for kind, judged in ((action, answer), ("rollback", answer.get("lacks", {}))):
            back = kind == "rollback"
            if wrong := judged.get("incompatible"):
                (passed if allowed else refused).append(harm(kind, wrong))
            warnings += [f"{name}: {text}" for name, text in judged.get("warnings", {}).items()]
            if unjudged := judged.get("unjudged"):
                (passed if back and (allowed or urgent) else refused).append(
                    [UNKNOWN[kind].format(cure=judged["cure"]), *(f"  {name}" for name in unjudged)]
                )
        if lacking := answer.get("lacking"):
            (passed if allowed else refused).append([LACKING, *(f"  {text}" for text in lacking)])
        if answer.get("uncompared"):
            warnings.append(UNCOMPARED)
        if why := answer.get("unknown"):
            (passed if allowed or urgent else refused).append([UNTOLD.format(why=why)])
    if refused:
        raise Refused("\n".join(line for lines in refused for line in lines))
    return warnings + [" ".join(["allowed:", *map(str.strip, lines)]) for lines in passed]
