"""A server that only keeps files, where other servers have the repositories of their backups."""

from documented import commands

FOLDER = "/srv/nas"


def empty(nas):
    """Remove what earlier tests have left there."""
    nas.run(f"rm -rf {FOLDER} {FOLDER}-away && mkdir {FOLDER}")


def take_away(nas):
    """Move the repositories away. A file is in their place: a backup under way would make the folder anew."""
    nas.run(f"mv {FOLDER} {FOLDER}-away && touch {FOLDER}")


def bring_back(nas):
    nas.run(f"rm {FOLDER} && mv {FOLDER}-away {FOLDER}")


def place(nas, app):
    """Return what [backup] names as `to`."""
    return f"sftp:root@{nas.address}:{FOLDER}/{app}"


def let_in(nas, host, page):
    """Let root of the host log in there, with a key made by the page's line."""
    key = next(line for line in commands(page) if line.startswith("ssh-keygen"))
    host.run(f"mkdir -p .ssh && {{ test -e .ssh/id_ed25519 || {key}; }}")
    nas.run("cat >>.ssh/authorized_keys", input=host.run("cat .ssh/id_ed25519.pub"))
    host.run(f"ssh-keyscan -t ed25519 {nas.address} >>.ssh/known_hosts")
