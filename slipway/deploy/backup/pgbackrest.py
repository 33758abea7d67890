"""Runs pgBackRest in a container of the database's image, and reads what it says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import branches, configuration, postgres, shell
from .branches import Backup, lsn_of
from .place import CONFIGURATION, INSIDE
from .settings import Settings
from .shell import Problem, lines_of

MEMORY = "512m"
FEW, MORE = 64, 256  # CPU shares: of what no one waits for, of a restore; a service has 1024
LIST = 300  # seconds for a list of what the repository has
MISSING = (1, 2, 3)  # codes of `info`: no stanza, no backup, no data of the stanza
# A line that ends with ":" goes on in the next one.
ERROR = re.compile(r"^(?:P\d\d +)?ERROR: \[\d+\]: (?:raised from \S+ protocol[^:]*: )?(.*:\n.+|.*)", re.MULTILINE)
LOST = re.compile(r"unable to load info file|stanza-create been performed|missing stanza")
RUN = 'PGPASSWORD="${POSTGRES_PASSWORD:-}" exec pgbackrest "$@"'
# $1: the stanza's option; $2: the app; then options of `check`. Print what there is: two lines of JSON, then histories.
LOOK = """
set -eu
export PGPASSWORD="${POSTGRES_PASSWORD:-}"
stanza=$1 app=$2; shift 2
info=$(pgbackrest "$stanza" info --output=json)
[ $# = 0 ] || pgbackrest "$stanza" "$@" check
files=$(pgbackrest "$stanza" repo-ls --recurse --output=json "archive/$app")
printf '%s\\n' "$info" "$files"
for path in $(printf %s "$files" | grep -o '"[^"]*[.]history"' | tr -d '"'); do
    printf '\\nhistory %s\\n' "$path"
    pgbackrest "$stanza" repo-get "archive/$app/$path"
done
"""


def confined(settings: Settings, name: str, shares: int = FEW) -> list[str]:
    """Return the words of `docker run` for a container with the image's user, the configuration, and a way to the
    place."""
    configuration.check_folder(settings)
    folder, user, group = settings.place.folder, *postgres.owner(settings)
    words = ["docker", "run", "--name", name, "--user", f"{user}:{group}", "--read-only", "--tmpfs=/tmp", "--init"]
    words += ["--tmpfs", f"/spool:uid={user},gid={group},mode=700", "--cap-drop=ALL"]
    words += ["--security-opt=no-new-privileges", f"--cpu-shares={shares}", f"--memory={MEMORY}"]
    words += ["--mount", f"type=bind,source={configuration.path(settings).parent},target={CONFIGURATION},readonly"]
    if not folder:
        return words
    return [*words, "--network=none", "--mount", f"type=bind,source={folder},target={INSIDE}"]


def container(settings: Settings, action: str) -> str:
    """Return the name of the container that works for an action."""
    return f"{settings.app}-pgbackrest-{action}"


def call(
    settings: Settings,
    action: str,
    words: Sequence[str],
    volume: str = "",
    seconds: float = math.inf,
    script: str = RUN,
) -> str:
    """Run pgBackRest for an action, with the service's data, or to restore into `volume`; return what it prints. Raise
    Problem if it fails. What is left of a run that was killed goes before, and of this one if it does not end in
    time."""
    name, image = container(settings, action), settings.image
    shell.remove_containers(name)
    command = [
        *confined(settings, name, MORE if volume else FEW),
        *("--rm", "-v", f"{settings.sockets}:{settings.sockets}"),
        *("-v", f"{volume or image['DATA']}:{image['VOLUME']}{'' if volume else ':ro'}"),
        *("--env-file", f"{settings.etc}/{settings.service}.env", "--entrypoint=sh"),
        *(image["IMAGE_ID"], "-c", script, "sh", f"--stanza={settings.app}", *words),
    ]
    try:
        done = shell.run(command, seconds=seconds)
    except Problem as problem:
        shell.remove_containers(name)
        raise Problem(f"{settings.to}: pgbackrest: {problem}") from None
    if done.returncode:
        raise Problem(told(settings, done.stderr))
    return done.stdout


def told(settings: Settings, stderr: str) -> str:
    """Return one line that says why pgBackRest failed."""
    found = ERROR.search(stderr)
    cause = " ".join(found[1].split()).removesuffix(":") if found else shell.last_line(stderr)
    cure = ": if its backups are lost, slipway backup --new begins anew" if LOST.search(stderr) else ""
    return f"{settings.to}: {cause}{cure}"


# ---- what the repository has ----


@dataclass(frozen=True)
class Seen:
    """The contents of the repository. `system`: the id of the database whose backups it takes now, "" without a stanza.
    `files`: name → entry, of the newest database's archive; `histories`: timeline → its history there."""

    backups: list[Backup]
    system: str
    files: Mapping[str, Mapping[str, Any]]
    histories: Mapping[int, str]


def look(settings: Settings, action: str, patience: int = 0) -> Seen:
    """Return what the repository has. `patience`: seconds for pgBackRest's `check`, which comes before: it has Postgres
    begin another segment, and waits for that one in the repository."""
    check = [f"--archive-timeout={patience}"] if patience else []
    said = call(settings, action, [settings.app, *check], script=LOOK, seconds=LIST + patience)
    said, *parts = said.split("\nhistory ")
    first, second = lines_of(said)
    info, entries = json.loads(first)[0], json.loads(second)
    for status in (info["status"], *(repository["status"] for repository in info.get("repo", []))):
        if status["code"] not in (0, *MISSING):
            raise Problem(f"{settings.to}: {(lines_of(status['message']) or ['?'])[0].strip()}")
    newest = info["db"][-1] if info.get("db") else {"system-id": "", "version": "", "id": ""}
    archive = f"{newest['version']}-{newest['id']}/"
    own = {path.rpartition("/")[2]: entry for path, entry in entries.items() if path.startswith(archive)}
    files = {name: entry for name, entry in own.items() if entry["type"] == "file"}
    histories = {
        int(path.rpartition("/")[2][:8], 16): text
        for path, _, text in (part.partition("\n") for part in parts)
        if path.startswith(archive)
    }
    whole = backups(info, newest["id"], branches.segments(files))
    return Seen(whole, str(newest["system-id"]), files, histories)


def backups(info: Mapping[str, Any], database: object, archived: set[str]) -> list[Backup]:
    """Return the whole backups of a database that `info` lists, oldest first. Without one of the segments that were
    written meanwhile, Postgres would never start with a backup."""
    return [
        Backup(
            label=entry["label"],
            kind=entry["type"],
            at=entry["timestamp"]["stop"] + 1,  # it is cut to whole seconds
            first=entry["archive"]["start"],
            lsn=lsn_of(entry["lsn"]["stop"]),
            bytes=entry["info"]["size"],
        )
        for entry in info.get("backup", [])
        if not entry.get("error")
        and entry["database"]["id"] == database
        and branches.is_whole(entry["archive"]["start"], entry["archive"]["stop"], archived)
    ]


def make(settings: Settings, action: str, new: bool = False) -> None:
    """Make the stanza; if `new`, also beside the backups of another database."""
    try:
        call(settings, action, ["stanza-create"], seconds=300)
    except Problem:
        if not new:
            raise
        call(settings, action, ["stanza-upgrade"], seconds=300)


def verify(settings: Settings, action: str) -> None:
    """Read all that the repository has. Raise Problem if a file is damaged or missing."""
    said = call(settings, action, ["verify", "--output=text", "--verbose"])
    if "status: ok" not in said:
        raise Problem(f"{settings.to}: pgbackrest verify: {'; '.join(map(str.strip, lines_of(said.strip())[1:]))}")
