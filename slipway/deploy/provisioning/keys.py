"""The part of the recipe that sets up deploy keys: the account APP-deploy, its gate, and what sudo allows it."""

import shlex

from pyinfra.operations import files, server

from ..config import Fleet
from ..config.ssh import account
from ..server import keys
from .named import owned_folder, write
from .operations import Entry, checked_file

VISUDO = "visudo --check --quiet --strict --file="
# $1: the account, $2: its folder. An account of this name that is not ours must not get rights. Its password "*" fits
# nothing, and sshd lets keys in.
ADD = """
folder=$(getent passwd "$1" | cut -d : -f 6)
if [ -z "$folder" ]; then
    exec useradd --system --user-group --no-create-home --home-dir "$2" --shell /bin/sh --password '*' "$1"
fi
[ "$folder" = "$2" ] || { echo "there is another user $1: rename it" >&2; exit 1; }
"""


def set_up(fleet: Fleet, existing: dict[str, Entry]) -> None:
    """Let the deploy keys of production.toml in, and no others. Without keys, remove all that they need."""
    if not fleet.limited_keys:
        take_away(fleet, existing)
        return
    user, home = account(fleet.app), keys.home(fleet.app)
    if home not in existing:
        server.shell(name=f"add user {user}", commands=shlex.join(["sh", "-c", ADD, "sh", user, home]))
    for each in keys.folders(fleet.app):
        owned_folder(each)
    write(keys.gate(fleet), existing)
    checked_file(name=f"write {keys.sudoers_path(fleet.app)}", file=keys.sudoers(fleet), check=VISUDO)
    write(keys.authorized_keys(fleet), existing)  # last, as it opens the door


def take_away(fleet: Fleet, existing: dict[str, Entry]) -> None:
    for path in keys.paths(fleet.app):
        if path in existing:
            files.file(name=f"remove {path}", path=path, present=False)
    if keys.home(fleet.app) in existing:
        user, home = account(fleet.app), keys.home(fleet.app)
        server.shell(
            name=f"remove user {user}",
            commands=[f"userdel --force {user}", f"rm -r {home}"],  # withdrawal.py has ended its processes
        )
