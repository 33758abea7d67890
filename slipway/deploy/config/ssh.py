"""The command lines of OpenSSH's client, with the user's ssh_config, keys and agent. Builds commands, runs none."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# Runs a command as root; by sudo, without a password, where the user is not root.
AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -n "$@"'


@dataclass(frozen=True)
class Ssh:
    """How hosts are reached. `config`: a file that replaces the user's ssh_config, if any."""

    config: str = ""

    def command(self, address: str, words: Sequence[str], share: str = "", owner: bool = False,
                tty: bool = False) -> list[str]:
        """The local command line that runs `words` as root at `address`. The one place that spells ssh's options.

        `share` is the path of a socket: its `owner`'s connection serves all others that name it. `tty`: the command
        gets a terminal. Host keys are checked as the user's ssh_config says; ssh asks nothing, as nobody may answer.
        """
        options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
                   "LogLevel=ERROR", f"RequestTTY={'yes' if tty else 'no'}", "ForwardAgent=no", "ForwardX11=no",
                   "ClearAllForwardings=yes"]
        # Never the user's own sharing: a connection of ours ends when we say so.
        options += [f"ControlMaster={'yes' if owner else 'no'}", "ControlPersist=no", f"ControlPath={share or 'none'}"]
        config = ["-F", self.config] if self.config else []
        return ["ssh", *config, *(word for option in options for word in ("-o", option)), "--", address,
                shlex.join(["sh", "-c", AS_ROOT, "sh", *words])]

    def forward(self, address: str, share: str, port: int) -> list[str]:
        """The local command line by which the connection at `share` lets the host reach our `port` at 127.0.0.1. It
        prints the port there, which the host chooses. It needs no ssh_config: the connection is open already."""
        return ["ssh", "-F", "none", "-S", share, "-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", "--", address]
