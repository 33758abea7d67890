"""What goes wrong: a DeployError is told to the user, by __main__; a HostProblem is of one host, and gathered first."""

from collections.abc import Iterable, Mapping
from typing import Any


class DeployError(Exception):
    """It failed; the message is all a user has to read. `exit_code` is what `python -m deploy` ends with."""

    exit_code = 1


class Refused(DeployError):
    """Wrong usage or configuration, or a host that is not fit: nothing was changed."""

    exit_code = 2


class ConfigError(Refused):
    """All that is wrong with a configuration, a line each."""

    def __init__(self, source: object, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


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


class Nonsense(Lost):
    """A host's answer is none that can be understood."""

    def __init__(self, what: str) -> None:
        super().__init__(f"gives an answer that makes no sense ({what}): is the host in order?")


def on_hosts(problems: Mapping[str, Iterable[str]]) -> str:
    """The report of `problems` (host name → texts): each text once, after the hosts it holds for."""
    hosts: dict[str, list[str]] = {}
    for name in sorted(problems):
        for text in problems[name]:
            hosts.setdefault(text, []).append(name)
    return "\n".join(f"on {', '.join(names)}: {text}" for text, names in hosts.items())
