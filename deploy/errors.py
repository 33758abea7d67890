"""What goes wrong: a DeployError is told to the user, by __main__; a HostProblem is of one host, and gathered first."""

from collections.abc import Iterable, Mapping
from typing import Any


class DeployError(Exception):
    """It failed; the message is all a user has to read. `exit_code` is what `python -m deploy` ends with."""

    exit_code = 1


class Refused(DeployError):
    """Wrong usage or configuration, or a host that is not fit: nothing was changed."""

    exit_code = 2


class Locked(DeployError):
    """Somebody else is changing a host."""

    exit_code = 4


class Divided(DeployError):
    """Some host is not on the release that the others are on."""

    exit_code = 3


class Interrupted(DeployError):
    """Ctrl-C, TERM or HUP."""

    exit_code = 130


class HostProblem(Exception):
    """What is wrong with one host, in a line or a few. `more` is what the agent says besides (status, body, log);
    `locked`: somebody else is changing the host; `host` and `step`: where it happened, once that is known."""

    def __init__(self, *texts: str, more: Mapping[str, Any] | None = None, locked: bool = False) -> None:
        super().__init__(*texts)
        self.more: Mapping[str, Any] = more or {}
        self.locked, self.host, self.step = locked, "", ""


class Lost(HostProblem):
    """The host does not answer any more, so nobody knows what it has done."""


def nonsense(what: str) -> Lost:
    """The error for an answer that cannot be understood: whatever else that host says is not believed either."""
    return Lost(f"gives an answer that makes no sense ({what}): is the host in order?")


def by_text(texts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """text → the hosts it holds for, of host name → texts."""
    hosts: dict[str, list[str]] = {}
    for name in sorted(texts):
        for text in texts[name]:
            hosts.setdefault(text, []).append(name)
    return hosts


def on_hosts(problems: Mapping[str, Iterable[str]]) -> str:
    """The report of `problems` (host name → texts): each text once, after the hosts it holds for."""
    return "\n".join(f"on {', '.join(names)}: {text}" for text, names in by_text(problems).items())
