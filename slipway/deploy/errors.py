"""The errors: __main__ shows DeployErrors to the user; HostProblems of all hosts become one DeployError."""

from collections.abc import Iterable, Mapping
from typing import Any


class DeployError(Exception):
    """A command failed. The message is all that a user has to read; `exit_code` is the deployer's."""

    exit_code = 1


class Refused(DeployError):
    """Nothing was changed: wrong usage, wrong configuration, or a host that is not fit."""

    exit_code = 2


class Locked(DeployError):
    """Somebody else is changing a host."""

    exit_code = 4


class Divided(DeployError):
    """A host is on another release than the others, could not be taken back whole, or cannot be asked."""

    exit_code = 3


class Interrupted(DeployError):
    """Ctrl-C, TERM or HUP came."""

    exit_code = 130


class HostProblem(Exception):
    """What is wrong with one host, a line for each of `texts`. `more`: what the agent adds, as shapes.More; `locked`:
    somebody else is changing the host; `host` and `step`: where it happened, once that is known."""

    def __init__(self, *texts: str, more: Mapping[str, Any] | None = None, locked: bool = False) -> None:
        super().__init__(*texts)
        self.more: Mapping[str, Any] = more or {}
        self.locked, self.host, self.step = locked, "", ""


class Lost(HostProblem):
    """The host does not answer, or not in a way that can be understood: nobody knows what it has done."""


def nonsense(what: str) -> Lost:
    """The error for an answer that cannot be understood; `what` is wrong with it, in a few words."""
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
    return "\n".join(f"on {', '.join(names)}: {under(text)}" for text, names in by_text(problems).items())


def under(text: str) -> str:
    """A host's words, so that no line of them looks like one of ours."""
    return text.replace("\n", "\n  ")
