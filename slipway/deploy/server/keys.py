"""The files by which an app's deploy keys may deploy this app, and nothing else: docs/ci.md. Does no I/O.

sshd runs the gate for each login of the account APP-deploy, whatever the client asks for."""

from importlib import resources

from ..agent.errors import nginx_name
from ..agent.roles import SERVICES
from ..config import Fleet
from ..config.ssh import PREFIX, account
from ..ssh import bootstrap
from .files import File

SUDOERS = """\
# {app}'s deploy keys; written by provisioning. The gate decides what they may do.
Defaults!{gate} env_keep += "SSH_ORIGINAL_COMMAND", !requiretty, !use_pty
{account} ALL=(root) NOPASSWD: {gate} "", {gate} watch
"""


def home(app: str) -> str:
    """Return the account's folder. All in it is root's, so that the account cannot add a key."""
    return f"/var/lib/{account(app)}"


def gate_path(app: str) -> str:
    return f"/usr/local/sbin/{app}-gate"


def sudoers_path(app: str) -> str:
    return f"/etc/sudoers.d/{account(app)}"


def paths(app: str) -> list[str]:
    """Return the paths of all that keys need on a host, those that grant something first."""
    return [f"{home(app)}/.ssh/authorized_keys", sudoers_path(app), gate_path(app)]


def authorized_keys(fleet: Fleet) -> File:
    deploy = [line(fleet.app, key) for key in fleet.deploy_keys]
    watch = [line(fleet.app, key, " watch") for key in fleet.watch_keys]
    return File(paths(fleet.app)[0], "".join(f"{each}\n" for each in (*deploy, *watch)))


def line(app: str, key: str, kind: str = "") -> str:
    return f'restrict,command="sudo -n {gate_path(app)}{kind}" {key}'


def sudoers(app: str) -> File:
    text = SUDOERS.format(app=app, gate=gate_path(app), account=account(app))
    return File(sudoers_path(app), text, "440")


def gate(fleet: Fleet) -> File:
    """Return the gate, which holds this version's agent."""
    program = resources.files(__package__).joinpath("gate.py").read_text("utf-8")
    names = sorted(names_in_journal(fleet))
    words = fleet.app, [*PREFIX], bootstrap.command(fleet.app), names, bootstrap.sent()
    call = f"main({', '.join(map(repr, words))})\n"
    mark = "# Goes to /usr/local/sbin; written by provisioning.\n"
    return File(
        gate_path(fleet.app),
        f'#!/usr/bin/python3 -IS\n{mark}{program}\n\nif __name__ == "__main__":\n    {call}',
        "755",
    )


def names_in_journal(fleet: Fleet) -> list[str]:
    """Return all names of the app's logs: its containers, nginx, its services and backups."""
    app = fleet.app
    containers = [f"{app}-{name}{slot}" for name in fleet.roles for slot in ("", "-a", "-b")]
    return [*containers, nginx_name(app), f"{app}-backup", f"{app}-wal", *(f"{app}-{kind}" for kind in SERVICES)]
