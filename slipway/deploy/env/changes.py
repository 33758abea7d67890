"""Staging of settings: from the texts of files and what to change, to a new text. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slipway import envfile
from slipway import values as allowed

from ..errors import HostProblem, Refused

HOLDS_LINES = "a value of several lines goes by: make env ARGS='set-file NAME FILE'"


def staged(current: str, following: str | None, values: Mapping[str, str], unset: Collection[str]) -> str:
    """The text of the new APP.env.next, from APP.env (`current`), APP.env.next (`following`, None where there is none),
    what to set and what to unset. Raises HostProblem where the file is malformed, or a name to unset is not in it.
    """
    base = current if following is None else following
    variables, problems = envfile.parse(base, "APP.env" if following is None else "APP.env.next")
    problems += [f"{name} is not set" for name in unset if name not in variables]
    if problems:
        raise HostProblem(*problems)
    return envfile.changed(base, values, unset)


def gone_back(answers: Mapping[tuple[str, str], Any]) -> dict[str, str]:
    """Return what to tell of settings that go back with their release → hosts, by the answers to `prepare`."""
    told: dict[str, list[str]] = {}
    for (step, host), answer in answers.items():
        if step == "prepare" and answer.get("kept"):
            text = (f"settings go back with the release: {', '.join(answer['changed']) or 'comments alone'}; kept as"
                    f" APP.env.{answer['kept']}.kept there: what shall stay goes by make env ARGS='set NAME'")
            told.setdefault(text, []).append(host)
    return {text: ", ".join(hosts) for text, hosts in told.items()}


def differences(current: str, following: str | None) -> dict[str, str]:
    """name → what the next deploy does to it: "", "set", "changed" or "unset", for every name in either text."""
    now, then = (envfile.parse(text, "")[0] for text in (current, current if following is None else following))
    return {name: "" if now.get(name) == then.get(name) else
            "unset" if name not in then else "changed" if name in now else "set" for name in sorted({*now, *then})}


def read_values(content: bytes, names: Collection[str]) -> dict[str, str]:
    """name → value of NAME=value lines, given as bytes. Raises Refused with all that is wrong, as is a name beside the
    `names` that were asked for, if any."""
    values, problems = envfile.read(content, "input")
    if any("not KEY=value" in problem for problem in problems):
        problems.append(HOLDS_LINES)
    if names:
        problems += [f"no value for {name}" for name in names if not values.get(name) and not problems]
        problems += [f"{name} was not asked for" for name in values if name not in names]
    elif values:
        problems += [f"{name} has no value: use env unset" for name, value in values.items() if not value]
    elif not problems:
        problems.append("nothing to set: give NAME=value lines on stdin")
    if why := wrong_site(values.get("SITE_URL", "")):
        problems.append(f"SITE_URL {why}; for example SITE_URL=https://shop.example")
    if problems:
        raise Refused("\n".join(problems))
    return values


def wrong_site(url: str) -> str:
    """Return why the app would not start with this SITE_URL, in words that go after its name; "" if it would."""
    try:
        if url:
            allowed.site(url)
    except ValueError as error:
        return str(error) if str(error).startswith(("is ", "has ")) else "is malformed"
    return ""


def check_names(names: Iterable[str]) -> None:
    """Raise Refused for a word that is no name of a setting, without repeating a value in it."""
    for name in names:
        if "=" in name:
            raise Refused(f"{name.partition('=')[0]}: give the name alone: a value here would show in the process list")
        if not envfile.LINE.fullmatch(f"{name}="):
            raise Refused(f"{name!r} is not the name of a setting")
