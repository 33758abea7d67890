"""The files by which an app's deploy keys may deploy this app, and nothing else: docs/ci.md. Does no I/O.

sshd runs the gate for each login of the account APP-deploy, whatever the client asks for."""

import base64
import hashlib
from importlib import resources

from ..agent.errors import nginx_name
from ..agent.host import UNITS
from ..agent.roles import SERVICES
from ..config import Fleet
from ..config.ssh import PREFIX, account
from ..ssh import bootstrap
from .files import File, Folder

SUDOERS = """\
# {app}'s deploy keys; written by provisioning. The gate decides what they may do.
Defaults!{gate} env_keep += "SSH_ORIGINAL_COMMAND", !requiretty, !use_pty
{account} ALL=(root) NOPASSWD: {gate} "", {gate} watch
"""
SLICE = """\
# The sessions of {app}'s deploy keys, all together; written by provisioning.
[Slice]
CPUWeight=20
IOWeight=20
MemoryMax=512M
TasksMax=300
"""


def home(app: str) -> str:
    """Return the account's folder. All in it is root's, so that the account cannot add a key."""
    return f"/var/lib/{account(app)}"


def folders(app: str) -> list[Folder]:
    return [Folder(home(app), "755"), Folder(f"{home(app)}/.ssh", "755")]


def gate_path(app: str) -> str:
    return f"/usr/local/sbin/{app}-gate"


def sudoers_path(app: str) -> str:
    return f"/etc/sudoers.d/{account(app)}"


def slice_path(app: str) -> str:
    return f"{UNITS}/{app.replace('-', '_')}_deploy.slice"  # to systemd, a dash would mean a slice in another


def paths(app: str) -> list[str]:
    """Return the paths of all that keys need on a host, those that grant something first."""
    return [f"{home(app)}/.ssh/authorized_keys", sudoers_path(app), gate_path(app), slice_path(app)]


def kinds(fleet: Fleet) -> list[tuple[str, str]]:
    """Return the fleet's keys, each as (kind, key)."""
    return [*(("deploy", key) for key in fleet.deploy_keys), *(("watch", key) for key in fleet.watch_keys)]


def fingerprint(key: str) -> str:
    """Return the fingerprint of a public key as ssh-keygen -l shows it, without "SHA256:"."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def title(key: str) -> str:
    """Return a key's fingerprint and comment."""
    return " ".join([f"SHA256:{fingerprint(key)}", *key.split()[2:]])


def arguments(kind: str, key: str) -> str:
    """Return the gate's arguments for a key. They are no client's: sshd and sudo take them from root's files."""
    return f"{kind} {fingerprint(key)}"


def authorized_keys(fleet: Fleet) -> File:
    gate = gate_path(fleet.app)
    lines = [f'restrict,command="sudo -n {gate} {arguments(kind, key)}" {key}\n' for kind, key in kinds(fleet)]
    return File(paths(fleet.app)[0], "".join(lines))


def sudoers(fleet: Fleet) -> File:
    gate, user = gate_path(fleet.app), account(fleet.app)
    lines = [f"{user} ALL=(root) NOPASSWD: {gate} {arguments(kind, key)}\n" for kind, key in kinds(fleet)]
    text = SUDOERS.format(app=fleet.app, gate=gate, account=user)
    return File(sudoers_path(fleet.app), text + "".join(lines), "440")


def unit_files(fleet: Fleet) -> list[File]:
    return [File(slice_path(fleet.app), SLICE.format(app=fleet.app))] if fleet.limited_keys else []


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
    return [*containers, nginx_name(app), f"{app}-backup", *(f"{app}-{kind}" for kind in SERVICES)]
