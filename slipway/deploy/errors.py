"""The deployer's errors. __main__.py shows a DeployError to the user."""

from collections.abc import Iterable, Mapping
from typing import Any


class DeployError(Exception):
    """A failed command, with a message for the user."""

    exit_code = 1


class Refused(DeployError):
    """Wrong usage or configuration, or a host or release with a problem. Nothing live was changed."""

    exit_code = 2


class Locked(DeployError):
    """Somebody else is changing a host."""

    exit_code = 4


class Divided(DeployError):
    """A host has another release than the others, was changed only in part, or cannot be reached."""

    exit_code = 3


class Interrupted(DeployError):
    """Ctrl-C, or the signal TERM or HUP, ended the command."""

    exit_code = 130


class HostProblem(Exception):
    """A problem of a host, as one or more lines of text. `details`: what the agent adds, such as the app's answer.
    `locked`: True if somebody else is changing the host. Callers may set the attributes `host` and `step`."""

    def __init__(self, *texts: str, details: Mapping[str, Any] | None = None, locked: bool = False) -> None:
        super().__init__(*texts)
        self.details: Mapping[str, Any] = details or {}
        self.locked = locked
        self.host = ""
        self.step = ""


class Lost(HostProblem):
    """The host's answer is missing or invalid, so the host's state is unknown."""


def invalid_answer(what: str) -> Lost:
    return Lost(f"sends an invalid answer ({what}): check this host")


def by_text(texts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Turn {host name: texts} into {text: host names}."""
    hosts: dict[str, list[str]] = {}
    for name in sorted(texts):
        for text in texts[name]:
            hosts.setdefault(text, []).append(name)
    return hosts


def on_hosts(problems: Mapping[str, Iterable[str]]) -> str:
    """Return `problems` (host name → texts) as lines: each text once, after the names of its hosts."""
    return "\n".join(f"on {', '.join(names)}: {indent(text)}" for text, names in by_text(problems).items())


def indent(text: str) -> str:
    """Indent a host's text from its second line on, so that no line looks like a message of the deployer."""
    return text.replace("\n", "\n  ")
