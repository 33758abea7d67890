"""Stage settings and secrets for the next deploy in two phases: write all files under other names, then rename them."""

from __future__ import annotations

import base64
import contextlib
from typing import TypedDict

from slipway import envfile

from . import disk, shell
from .host import Host, Problem
from .message_types import Base64, NotRequired, SecretName


class Settings(TypedDict):
    """Content of two files: APP.env has the live settings, APP.env.next those for the next deploy. `services`: names of
    the settings that lead to the app's services, which provisioning writes. `secrets`: (name, content) of the files
    that the settings name, if the deployer asked for them."""

    settings: Base64
    staged: Base64 | None
    services: list[str]
    secrets: NotRequired[list[tuple[SecretName, Base64]]]


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
        coming = current + (staged or b"")
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
