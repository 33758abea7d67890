"""Reaching a host by OpenSSH's own client, with the user's ssh_config, keys and agent. Builds commands, runs none."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# Words are run as root: by sudo where the user is somebody else, who then must not be asked for a password.
AS_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; exec sudo -n "$@"'


@dataclass(frozen=True)
class Ssh:
    """How hosts are reached: `config` is a file to read instead of the user's ssh_config, `options` are ssh's own."""

    config: str = ""

    def command(self, address: str, words: Sequence[str], share: str = "", owner: bool = False,
                tty: bool = False) -> list[str]:
        """The local command line that runs `words` as root at `address`. The one place that spells ssh's options.

        `share` is the path of a socket: the connection of its `owner` serves all others that name it. Host keys are
        checked as the user's ssh_config says; nothing is asked, as nobody may be there to answer. `tty`: words get a
        terminal.
        """
        options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
                   "LogLevel=ERROR", f"RequestTTY={'yes' if tty else 'no'}", "ForwardAgent=no", "ForwardX11=no",
                   "ClearAllForwardings=yes"]
        # Without a socket of ours the user's own sharing is off too: a connection of ours ends when we say so.
        options += [f"ControlMaster={'yes' if owner else 'no'}", "ControlPersist=no", f"ControlPath={share or 'none'}"]
        config = ["-F", self.config] if self.config else []
        return ["ssh", *config, *(word for option in options for word in ("-o", option)), "--", address,
                shlex.join(["sh", "-c", AS_ROOT, "sh", *words])]

    def forward(self, address: str, share: str, port: int) -> list[str]:
        """The local command line by which the connection at `share` lets the host reach our `port` at 127.0.0.1.

        It prints the host's port, which the host chooses. The user's ssh_config has had its say in the connection.
        """
        return ["ssh", "-F", "none", "-S", share, "-O", "forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}", "--", address]
