"""Stage settings and secrets for the next deploy in two phases: write all files under other names, then rename them.
A host without a release also inherits the history of another, with the settings to which a rollback returns."""

from __future__ import annotations

import base64
import contextlib
from typing import TypedDict

from slipway import envfile

from . import disk, releases, shell
from .host import Host, Problem
from .message_types import Base64, NotRequired, Record, SecretName


class Settings(TypedDict):
    """Content of two files: APP.env has the live settings, APP.env.next those for the next deploy. `services`: names of
    the settings that lead to the app's services, which provisioning writes. If the deployer asked for secrets, also
    what a new host inherits: `reverted`, APP.env.revert; `records` of releases.log; `secrets`, (name, content) of the
    files that the settings name."""

    settings: Base64
    staged: Base64 | None
    services: list[str]
    secrets: NotRequired[list[tuple[SecretName, Base64]]]
    reverted: NotRequired[Base64 | None]
    records: NotRequired[list[Record]]


def read_settings(host: Host, secrets: bool = False) -> Settings:
    current, staged = (disk.read_bytes(path) for path in (host.env, host.next_env))
    if current is None:
        raise Problem(f"there is no {host.env}: run slipway provision first")
    answer: Settings = {
        "settings": base64.b64encode(current).decode(),
        "staged": None if staged is None else base64.b64encode(staged).decode(),
        "services": [*envfile.read_file(host.services)[0]],
    }
    if secrets:
        reverted = disk.read_bytes(host.revert_env)
        answer["reverted"] = None if reverted is None else base64.b64encode(reverted).decode()
        answer["records"] = releases.read_log(host)[0]
        coming = current + (staged or b"") + (reverted or b"")
        names = [name for name in disk.list_folder(host.secrets) if b"/run/secrets/%s" % name.encode() in coming]
        answer["secrets"] = [
            (name, base64.b64encode(disk.read_bytes(host.secret(name)) or b"").decode()) for name in names
        ]
    return answer


def stage(host: Host, settings: str, files: dict[str, str]) -> None:
    """Phase one: decode settings and secrets from base64; write PATH.new beside each old file. `files`: the secrets."""
    for name, content in files.items():
        disk.write_beside(host.secret(name), base64.b64decode(content), 0o640, shell.owner_ids("root", host.app))
    disk.write_beside(host.next_env, base64.b64decode(settings), 0o600, shell.owner_ids("root", "root"))


def finish_staging(host: Host, files: list[str]) -> None:
    """Phase two: rename the files, secrets before the settings that name them. `files`: the secrets' names."""
    for path in [*map(host.secret, files), host.next_env]:
        disk.move(path + ".new", path)


def inherit(host: Host, records: list[Record], files: dict[str, str], reverted: str | None = None) -> None:
    """Take over another host's `records`, after those of this host, and the settings `reverted` of the release before
    the one that is to come, with the secrets that they name. Raise Problem if this host has a release."""
    if releases.read_tag(host.tag):
        raise Problem("this host has a release, and so a history of its own")
    for name, content in files.items():
        disk.write(host.secret(name), base64.b64decode(content), 0o640, shell.owner_ids("root", host.app))
    if reverted is None:
        disk.remove(host.revert_env)
    else:
        disk.write(host.revert_env, base64.b64decode(reverted), 0o600)
    ids = {record.get("id") for record in records}
    own = [record for record in releases.read_log(host)[0] if record.get("id") not in ids]
    taken: list[Record] = [{**record, "inherited": True} for record in records]
    disk.write(host.log, "".join(map(releases.log_line, [*own, *taken])))


def drop_staging(host: Host) -> None:
    secrets = [host.secret(name) for name in disk.list_folder(host.secrets) if name.endswith(".new")]
    for path in [host.next_env + ".new", *secrets]:
        with contextlib.suppress(OSError):
            disk.remove(path)


def drop_secrets(host: Host) -> None:
    """Remove secrets that no file of settings names any more. A changed secret is a new file with a new name."""
    settings = [host.env, host.next_env, host.revert_env, *map(host.kept_env, host.kept_envs())]
    settings += [host.slot_file(slot, "env") for slot in host.pinned()]
    named = "".join(disk.read(path) or "" for path in settings)
    disk.remove(*(host.secret(name) for name in disk.list_folder(host.secrets) if name not in named))
