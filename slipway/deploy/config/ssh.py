"""Command lines for OpenSSH, with the user's keys and ssh-agent."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# Runs a command as root, with passwordless sudo if the user is not root.
AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -n "$@"'
PREFIX = ("sh", "-c", AS_ROOT, "sh")


def account(app: str) -> str:
    """Return the account of an app's deploy keys on its hosts."""
    return f"{app}-deploy"


@dataclass(frozen=True)
class Ssh:
    """Builds command lines of ssh. `config`: the path of a file to use instead of the user's ssh_config. `user`: the
    account on all hosts, in place of an address's or ssh_config's; "" for those."""

    config: str = ""
    user: str = ""

    def command(
        self, address: str, words: Sequence[str], share: str = "", tty: bool = False, compressed: bool = False
    ) -> list[str]:
        """Return the command line that runs `words` as root, without prompts. `share`: path of the socket that the
        command opens for `forward`; images go over such a connection. `tty`: the command gets a terminal. `compressed`:
        ssh compresses, as it does with `share`."""
        options = [
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
            f"RequestTTY={'yes' if tty else 'no'}",
            "ForwardAgent=no",
            "ForwardX11=no",
            "ClearAllForwardings=yes",
        ]
        # Override a ControlMaster in the user's ssh_config, which would keep our connection open.
        options += [f"ControlMaster={'yes' if share else 'no'}", "ControlPersist=no", f"ControlPath={share or 'none'}"]
        options += ["Compression=yes"] if share or compressed else []
        options += [f"User={self.user}"] if self.user else []
        config = ["-F", self.config] if self.config else []
        return [
            "ssh",
            *config,
            *(word for option in options for word in ("-o", option)),
            "--",
            address,
            shlex.join([*PREFIX, *words]),
        ]

    def forward(self, address: str, share: str, port: int) -> list[str]:
        """Return a command that picks a free port of the host, prints it and forwards it to this machine's `port`."""
        return ["ssh", "-F", "none", "-S", share, "-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", "--", address]
