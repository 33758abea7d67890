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
        """Return the command line that runs `words` as root at `address`, asking nothing. `share`: a socket's path; its
        `owner` serves all others that name it. `tty`: the command gets a terminal."""
        options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
                   "LogLevel=ERROR", f"RequestTTY={'yes' if tty else 'no'}", "ForwardAgent=no", "ForwardX11=no",
                   "ClearAllForwardings=yes"]
        # Never the user's own sharing: a connection of ours ends when we say so.
        options += [f"ControlMaster={'yes' if owner else 'no'}", "ControlPersist=no", f"ControlPath={share or 'none'}"]
        config = ["-F", self.config] if self.config else []
        return ["ssh", *config, *(word for option in options for word in ("-o", option)), "--", address,
                shlex.join(["sh", "-c", AS_ROOT, "sh", *words])]

    def forward(self, address: str, share: str, port: int) -> list[str]:
        """Return the command line by which `share`'s host reaches our `port` at 127.0.0.1; it prints the port there."""
        return ["ssh", "-F", "none", "-S", share, "-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", "--", address]
