"""What the deployer tells its user when it can't go on. __main__ catches these, and nobody else needs to."""


class DeployError(Exception):
    """It failed; the message is all a user has to read. `exit_code` is what `python -m deploy` ends with."""

    exit_code = 1


class Refused(DeployError):
    """Wrong usage or configuration, or a host that is not fit: nothing was changed."""

    exit_code = 2


class ConfigError(Refused):
    """All that is wrong with a configuration, a line each."""

    def __init__(self, source, problems):
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.problems = list(problems)


class Locked(DeployError):
    """Somebody else is changing a host."""

    exit_code = 4


class Interrupted(DeployError):
    """Ctrl-C, TERM or HUP."""


class Taken(DeployError):
    """Failed, and taken back."""


class Divided(DeployError):
    """Some host is not on the release that the others are on."""

    exit_code = 3


class HostProblem(Exception):
    """What is wrong with one host, in a line or a few. Gathered over all hosts before anything is said."""


def on_hosts(problems):
    """The report of `problems` (host name → texts): each text once, after the hosts it holds for."""
    hosts = {}
    for name in sorted(problems):
        for text in problems[name]:
            hosts.setdefault(text, []).append(name)
    return "\n".join(f"on {', '.join(names)}: {text}" for text, names in hosts.items())
