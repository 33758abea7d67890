"""Computes changes of the settings in APP.env. Does no I/O."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from slipway import envfile
from slipway import values as allowed

from ..errors import HostProblem, Refused, by_text

HOLDS_LINES = "for a value of several lines: slipway env set-file NAME FILE"
BACK = (
    "the old settings are back; changed: {}; newer ones are in /etc/default/*.env.{}.kept: set them again by"
    " slipway env set NAME"
)


def next_settings(current: str, following: str | None, values: Mapping[str, str], unset: Collection[str]) -> str:
    """Return the new text of APP.env.next. Start from its old text (`following`), or from APP.env (`current`) if
    `following` is None. Raise HostProblem if the old text is malformed or lacks a name in `unset`."""
    base, file = (current, "APP.env") if following is None else (following, "APP.env.next")
    variables = parse_settings(base, file)
    if missing := [f"{name} is not set" for name in unset if name not in variables]:
        raise HostProblem(*missing)
    return envfile.changed(base, values, unset)


def parse_settings(text: str, file: str) -> dict[str, str]:
    variables, problems = envfile.parse(text, file)
    if problems:
        raise HostProblem(*problems)
    return variables


def restored_settings_warnings(answers: Mapping[tuple[str, str], Any]) -> dict[str, str]:
    """Return warnings that a rollback restored old settings: text → host names. `answers`: (step, host) → answer."""
    by_host = {
        host: [BACK.format(", ".join(answer["changed"]) or "only comments", answer["kept"])]
        for (step, host), answer in answers.items()
        if step == "prepare" and answer["kept"]
    }
    return {text: ", ".join(hosts) for text, hosts in by_text(by_host).items()}


def differences(current: str, following: str | None) -> dict[str, str]:
    """Return setting → its change: set, changed, unset, or "" if it stays. Raise HostProblem if a text is malformed."""
    now = parse_settings(current, "APP.env")
    then = now if following is None else parse_settings(following, "APP.env.next")
    return {
        name: ""
        if now.get(name) == then.get(name)
        else "unset"
        if name not in then
        else "changed"
        if name in now
        else "set"
        for name in sorted({*now, *then})
    }


def read_values(content: bytes, names: Collection[str]) -> dict[str, str]:
    """Parse NAME=value lines. If `names` are given, the lines must set just these. Raise Refused with the problems."""
    values, problems = envfile.read(content, "input")
    if several := any("not KEY=value" in problem for problem in problems):
        problems.append(HOLDS_LINES)
    if names:
        problems += [f"no value for {name}" for name in names if not values.get(name) and not problems]
        # The last line of a key, with its "=", looks like a name.
        problems += [f"{name} is not one of the names given" for name in values if name not in names and not several]
    elif values:
        problems += [
            f"{name} has no value: give one, or use env unset"
            for name, value in values.items()
            if not value and not several
        ]
    elif not problems:
        problems.append("nothing to set: give NAME=value lines on stdin")
    if why := wrong_site(values.get("SITE_URL", "")):
        problems.append(f"SITE_URL {why}; for example SITE_URL=https://shop.example")
    if problems:
        raise Refused("\n".join(problems))
    return values


def wrong_site(url: str) -> str:
    """Return the error in SITE_URL, such as "is malformed", or "" if the app would accept this SITE_URL."""
    try:
        if url:
            allowed.site(url)
    except ValueError as error:
        return str(error) if str(error).startswith(("is ", "has ")) else "is malformed"
    return ""


def check_names(names: Iterable[str]) -> None:
    for name in names:
        if "=" in name:
            raise Refused(f"{name.partition('=')[0]}: give only the name: a value here would show in the process list")
        if not envfile.LINE.fullmatch(f"{name}="):
            raise Refused(f"{name!r} is not a valid name of a setting")
