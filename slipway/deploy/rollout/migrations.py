"""What the verdicts on migrations mean for a deploy or rollback. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import Refused
from .plan import PENDING, Step

HARMS = {"deploy": "with these migrations the release that is live cannot work; split them in two releases, or"
                   " take the risk with --allow-incompatible:",
         "rollback": "with these migrations, applied since, that release cannot work; take the risk with"
                     " --allow-incompatible:"}
UNKNOWN = {"deploy": "nobody has judged whether the release that is live can work with these migrations; {cure}"
                     " (--allow-incompatible is for what was judged):",
           "rollback": "nobody has judged whether that release can work with these migrations, applied since; {cure};"
                       " or take the risk with --allow-incompatible:"}

UNTOLD = ("whether that release can work with the migrations applied since cannot be found out: {why}; try again, or"
          " take the risk with --allow-incompatible")
OLDER = "{} was live before: it is refused if it cannot work with the migrations applied since"


def needed(group: tuple[Step, ...], judged: Mapping[str, Any]) -> tuple[Step, ...]:
    """Return the group's steps without a `migrate` for which, as `judged`, the release says all is applied."""
    return tuple(step for step in group if not (step.where == PENDING and judged.get("applied") is True))


def anew(group: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of a group where webs may have ended for want of migrations."""
    return tuple(replace(step, args={**step.args, "anew": True}) if step.name == "ready" else step for step in group)


def check(answers: Mapping[tuple[str, str], Any], action: str, allowed: bool, urgent: bool = False) -> list[str]:
    """Raise Refused for incompatible or unjudged migrations in the answers to `verdicts`; else return what is let pass,
    a line each. `allowed` lets incompatible ones pass, and unjudged ones that a release lacks; an `urgent` rollback, to
    the release before, needs no judgment."""
    refused: list[list[str]] = []
    passed: list[list[str]] = []
    for answer in (answer for (step, _), answer in answers.items() if step == "verdicts"):
        for kind, found in ((action, answer), ("rollback", answer.get("lacks", {}))):
            back = kind == "rollback"
            if wrong := found.get("incompatible"):
                (passed if allowed else refused).append(
                    [HARMS[kind], *(f"  {name}: {text}" for name, text in sorted(wrong.items()))])
            if unjudged := found.get("unjudged"):
                (passed if back and (allowed or urgent) else refused).append(
                    [UNKNOWN[kind].format(cure=found["cure"]), *(f"  {name}" for name in unjudged)])
        if why := answer.get("unknown"):
            (passed if allowed or urgent else refused).append([UNTOLD.format(why=why)])
    if refused:
        raise Refused("\n".join(line for lines in refused for line in lines))
    return [" ".join(["let pass:", *map(str.strip, lines)]) for lines in passed]
