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


def needed(group: tuple[Step, ...], judged: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a group without those that have nothing to do: migrate is left out only where the release says
    itself that all is applied. `judged`: what `verdicts` answered, nothing where it was not asked."""
    return tuple(step for step in group if not (step.where == PENDING and judged.get("applied") is True))


def anew(group: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of a group where webs may have ended for want of migrations."""
    return tuple(replace(step, args={**step.args, "anew": True}) if step.name == "ready" else step for step in group)


def check(answers: Mapping[tuple[str, str], Any], action: str, allowed: bool) -> None:
    """Raise Refused for incompatible migrations, unless `allowed`, and for those that nobody has judged; `answers`:
    (step, host) → answer, of which those to `verdicts` count. A rollback of unjudged ones can be allowed, as there is
    no time for the build that judges them."""
    lines = []
    for answer in (answer for (step, _), answer in answers.items() if step == "verdicts"):
        wrong, unjudged = answer["incompatible"], answer["unjudged"]
        if wrong and not allowed:
            lines += [HARMS[action], *(f"  {name}: {text}" for name, text in sorted(wrong.items()))]
        if unjudged and not (allowed and action == "rollback"):
            lines += [UNKNOWN[action].format(cure=answer["cure"]), *(f"  {name}" for name in unjudged)]
    if lines:
        raise Refused("\n".join(lines))
