"""Settings and secrets: `make env`. A whole file, APP.env.next, is staged on all hosts or none; the next commit renames
it to APP.env. Values come by stdin or are typed unseen, never as an argument, and none is shown.
"""

import argparse
import base64
import getpass
import secrets
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slipway import envfile

from ..agent.answers import Settings
from ..config import Host
from ..errors import DeployError, HostProblem, Refused
from ..ssh.connection import encoded, who
from ..ssh.connections import Connections
from ..ssh.gather import on_each
from ..ssh.interrupts import ignored
from .changes import check_names, differences, read_values, staged

Texts = tuple[str, str | None]  # of APP.env, and of APP.env.next where there is one


# ---- what each action does ----

@dataclass(frozen=True)
class Change:
    """What is to be staged; `files`: name → content, secrets; `done` is said in the end."""

    done: str
    values: Mapping[str, str] = field(default_factory=dict)
    unset: Collection[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def set_(args: argparse.Namespace) -> Change:
    """Values from stdin, which are asked for where that is a terminal. Raises Refused."""
    check_names(args.names)
    values = read_values(ask(args.names) if sys.stdin.isatty() else sys.stdin.buffer.read(), args.names)
    return Change(f"staged {', '.join(values)}", values)


def unset(args: argparse.Namespace) -> Change:
    """Without these names. Raises Refused."""
    check_names(args.names)
    return Change(f"staged without {', '.join(args.names)}", unset=args.names)


def set_file(args: argparse.Namespace) -> Change:
    """The file gets a name of its own, so that a release that is taken back finds its former one."""
    check_names([args.name])
    name = f"{args.name}.{secrets.token_hex(4)}"
    values = {f"{args.name}_FILE": f"/run/secrets/{name}"}
    return Change(f"staged {args.name}_FILE", values, files={name: read_file(args.file)})


CHANGES = {"set": set_, "unset": unset, "set-file": set_file}


async def show(hosts: Connections) -> None:
    """Names, and what is staged; grouped where hosts differ."""
    async def known(host: Host) -> tuple[str, ...]:
        return tuple(lines(*understood(*await read(hosts, host))))
    async with hosts:
        await hosts.reach_all()
        found = await on_each(hosts.hosts, known)
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, shown in sorted(found.items()):
        groups.setdefault(shown, []).append(name)
    for shown, names in groups.items():
        print("\n".join([f"{', '.join(names)}:", *(shown or ["  nothing set"])]))


def lines(current: str, following: str | None) -> list[str]:
    """A line for each setting, and what is staged of it."""
    return [f"  {setting:32} {state and 'staged: ' + state}".rstrip()
            for setting, state in differences(current, following).items()]


# ---- doing it ----

async def stage(hosts: Connections, change: Change) -> None:
    """Stage a change on all hosts or on none. Raises Refused with all hosts' problems, Locked."""
    async with hosts:
        await hosts.reach_all()
        await hosts.lock(who("env"), Refused)
        try:
            await write(hosts, change)
        except DeployError as error:
            await hosts.take_back(str(error))
            raise
        await hosts.release()
    print(f"{change.done}: live with the next deploy")


async def write(hosts: Connections, change: Change) -> None:
    """In two halves: what can fail fails in the first, which the end of the lock undoes."""
    files = {name: encoded(content) for name, content in change.files.items()}

    async def following(host: Host) -> bytes:
        return staged(*await read(hosts, host), change.values, change.unset).encode()
    texts = await on_each(hosts.hosts, following)
    await on_each(hosts.hosts, lambda host: hosts.connections[host.name].ask(
        "stage", settings=encoded(texts[host.name]), files=files))
    with ignored():  # or some hosts would have it, and others not
        await on_each(hosts.hosts, lambda host: hosts.connections[host.name].ask("keep", files=[*files]), DeployError)


async def read(hosts: Connections, host: Host) -> Texts:
    """The texts of a host."""
    answer: Settings = await hosts.connections[host.name].ask("read_settings")
    path = f"/etc/default/{hosts.fleet.app}.env"
    return decoded(answer["settings"], path), answer["staged"] and decoded(answer["staged"], f"{path}.next")


def decoded(content: str, path: str) -> str:
    """The text that came as base64. Raises HostProblem, which names the path, where it is not UTF-8."""
    try:
        return base64.b64decode(content).decode()
    except UnicodeDecodeError:
        raise HostProblem(f"{path} is not UTF-8 text: correct it there") from None


def understood(current: str, following: str | None) -> Texts:
    """The same texts. Raises HostProblem where one of them is malformed."""
    problems = [problem for text, name in ((current, "APP.env"), (following or "", "APP.env.next"))
                for problem in envfile.parse(text, name)[1]]
    if problems:
        raise HostProblem(*problems)
    return current, following


def ask(names: Iterable[str]) -> bytes:
    """NAME=value lines of what is typed after each name, unseen. Raises Refused."""
    if not names:
        raise Refused("which settings? env set NAME …, or NAME=value lines on stdin")
    return "".join(f"{name}={getpass.getpass(f'{name}: ')}\n" for name in names).encode(errors="surrogateescape")


def read_file(path: str) -> bytes:
    """The bytes of a file, - being stdin. Raises Refused."""
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if not content.strip():
        raise Refused(f"{path} is empty")
    return content
