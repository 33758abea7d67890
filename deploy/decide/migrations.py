"""What the verdicts on migrations mean for a deploy or rollback. Pure."""

from collections.abc import Mapping
from typing import Any

from ..errors import Refused

HARMS = {"deploy": "with these migrations the release that is live cannot work; split them in two releases, or"
                   " take the risk with --allow-incompatible:",
         "rollback": "with these migrations, applied since, that release cannot work; take the risk with"
                     " --allow-incompatible:"}
UNKNOWN = {"deploy": "nobody has judged whether the release that is live can work with these migrations; {cure}"
                     " (--allow-incompatible is for what was judged):",
           "rollback": "nobody has judged whether that release can work with these migrations, applied since; {cure};"
                       " or take the risk with --allow-incompatible:"}


def check(answers: Mapping[tuple[str, str], Any], action: str, allowed: bool) -> None:
    """Raise Refused for what `verdicts` answered, unless it is `allowed`; answers: (step, host) → answer. A deploy of
    what nobody has judged cannot be allowed: a build judges it. A rollback can, as there is no time to build."""
    lines = []
    for answer in (answer for (step, _), answer in answers.items() if step == "verdicts"):
        wrong, unjudged = answer["incompatible"], answer["unjudged"]
        if wrong and not allowed:
            lines += [HARMS[action], *(f"  {name}: {text}" for name, text in sorted(wrong.items()))]
        if unjudged and not (allowed and action == "rollback"):
            lines += [UNKNOWN[action].format(cure=answer["cure"]), *(f"  {name}" for name in unjudged)]
    if lines:
        raise Refused("\n".join(lines))
