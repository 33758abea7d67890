"""Writes APP.env.next on all hosts in two phases; the next deploy's commit renames it to APP.env. Values come from
stdin, a hidden prompt or a file, never from an argument, and are never shown."""

import argparse
import base64
import contextlib
import getpass
import secrets
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..agent.staging import Settings
from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused, by_text
from ..ssh.connection import encoded, who
from ..ssh.connections import Connections, locked
from ..ssh.gather import on_each
from ..ssh.interrupts import ignored
from .changes import check_names, differences, next_settings, read_values

NOT_SET = (
    "{} leads to the app's own service: to set it, first take the role from the hosts in production.toml, and run"
    " slipway provision"
)


# ---- the actions ----


@dataclass(frozen=True)
class Change:
    """A change of the servers' settings and secrets."""

    done: str  # the message after staging, such as "staged SECRET_KEY"
    values: Mapping[str, str] = field(default_factory=dict)
    unset: Collection[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)  # file name → content


def set_(args: argparse.Namespace) -> Change:
    check_names(args.names)
    values = read_values(prompt_for(args.names) if sys.stdin.isatty() else sys.stdin.buffer.read(), args.names)
    return Change(f"staged {', '.join(values)}", values)


def unset(args: argparse.Namespace) -> Change:
    check_names(args.names)
    return Change(f"staged the removal of {', '.join(args.names)}", unset=args.names)


def set_file(args: argparse.Namespace) -> Change:
    """Return a change with the file under a new name: the old release may still need the old file."""
    check_names([args.name])
    name = f"{args.name}.{secrets.token_hex(4)}"
    values = {f"{args.name}_FILE": f"/run/secrets/{name}"}
    return Change(f"staged {args.name}_FILE", values, files={name: read_file(args.file)})


CHANGES = {"set": set_, "unset": unset, "set-file": set_file}


async def show(fleet: Fleet, chosen: Sequence[Host]) -> None:
    async def listed(host: Host) -> list[str]:
        answer = await read_settings(hosts, host)
        listing = lines(*decode_settings(hosts, answer)) + [f"  {name:32} of a service" for name in answer["services"]]
        return ["\n".join(sorted(listing) or ["  nothing set"])]

    async with locked(fleet, chosen, "") as hosts:
        settings = await on_each(chosen, listed)
    for text, names in by_text(settings).items():
        print(f"{', '.join(names)}:\n{text}")


def lines(current: str, following: str | None) -> list[str]:
    return [
        f"  {setting:32} {state and 'staged: ' + state}".rstrip()
        for setting, state in differences(current, following).items()
    ]


# ---- on hosts ----


async def stage(fleet: Fleet, chosen: Sequence[Host], change: Change) -> None:
    """Stage a change of settings on all hosts. Raise Refused or Locked if nothing was staged."""
    with contextlib.ExitStack() as too_late:  # once renamed on a host, no signal stops it, or calls it interrupted
        async with locked(fleet, chosen, who("env")) as hosts:
            await write(hosts, change, too_late)
        print(f"{change.done}: live with the next deploy")


async def write(hosts: Connections, change: Change, too_late: contextlib.ExitStack) -> None:
    """Write new files on all hosts, then rename all. If writing fails, a host removes its files when its lock ends.
    Before the first rename, close `too_late` for signals."""
    files = {name: encoded(content) for name, content in change.files.items()}

    async def following(host: Host) -> bytes:
        answer = await read_settings(hosts, host)
        if taken := [NOT_SET.format(name) for name in answer["services"] if name in change.values]:
            raise HostProblem(*taken)
        return next_settings(*decode_settings(hosts, answer), change.values, change.unset).encode()

    contents = await on_each(hosts.hosts, following)
    await on_each(
        hosts.hosts,
        lambda host: hosts.connections[host.name].ask("stage", settings=encoded(contents[host.name]), files=files),
    )
    too_late.enter_context(ignored())
    await on_each(hosts.hosts, lambda host: hosts.connections[host.name].ask("keep", files=[*files]), DeployError)


async def read_settings(hosts: Connections, host: Host) -> Settings:
    answer: Settings = await hosts.connections[host.name].ask("read_settings")
    return answer


def decode_settings(hosts: Connections, answer: Settings) -> tuple[str, str | None]:
    """Return the texts of APP.env, and of APP.env.next if it exists."""
    path = f"/etc/default/{hosts.fleet.app}.env"
    return decode(answer["settings"], path), answer["staged"] and decode(answer["staged"], f"{path}.next")


def decode(content: str, path: str) -> str:
    try:
        return base64.b64decode(content).decode()
    except UnicodeDecodeError:
        raise HostProblem(f"{path} is not UTF-8 text: correct it on the host") from None


def prompt_for(names: Iterable[str]) -> bytes:
    """Prompt for the values of `names`; return NAME=value lines."""
    if not names:
        raise Refused("no settings given: use env set NAME …, or NAME=value lines on stdin")
    return "".join(f"{name}={getpass.getpass(f'{name}: ')}\n" for name in names).encode(errors="surrogateescape")


def read_file(path: str) -> bytes:
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if not content.strip():
        raise Refused(f"{path} is empty")
    return content
