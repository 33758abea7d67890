"""Settings and secrets: `python -m deploy env`. Staged on all hosts, or on none; the next deploy makes them live.

What is staged is a whole file, APP.env.next, that a deploy's commit renames to APP.env. Values come by stdin or an
editor, never as an argument, and none is ever shown.
"""

import argparse
import base64
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project.ops import envfile

from .config import Fleet, Host
from .connection import encoded
from .connections import Connections
from .errors import DeployError, HostProblem, Refused
from .gather import on_each
from .interrupts import ignored
from .lock import who
from .shapes import Settings
from .ssh import Ssh

BOM = "\ufeff"
HOLDS_LINES = "a value of several lines goes by: python -m deploy env set-file NAME FILE"
Texts = tuple[str, str | None]  # of APP.env, and of APP.env.next where there is one


# ---- pure: from texts to a text ----

def staged(current: str, following: str | None, values: Mapping[str, str], unset: Collection[str]) -> str:
    """The text of the new APP.env.next, from APP.env, APP.env.next (None where there is none), what to set and unset.

    Lines keep their places, comments included, and every byte of those that stay. NAME and NAME_FILE exclude each
    other. Raises HostProblem when the file there is malformed, or a name to be unset is not in it.
    """
    base = current if following is None else following
    variables, problems = envfile.parse(base, "APP.env" if following is None else "APP.env.next")
    problems += [f"{name} is not set" for name in unset if name not in variables]
    if problems:
        raise HostProblem(*problems)
    unset = {*unset, *(rival(name) for name in values)} - set(values)
    lines, base = [], base.removeprefix(BOM)
    for line in base.removesuffix("\n").split("\n") if base else ():
        name = line.partition("=")[0]
        if name in values and name in variables:
            lines.append(f"{name}={values[name]}")
        elif name not in unset or name not in variables:
            lines.append(line)
    lines += [f"{name}={value}" for name, value in values.items() if name not in variables]
    return "".join(f"{line}\n" for line in lines)


def rival(name: str) -> str:
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def differences(current: str, following: str | None) -> dict[str, str]:
    """Every name of either text, and what becomes of it: "", "set", "changed" or "unset"."""
    now, then = (envfile.parse(text, "")[0] for text in (current, current if following is None else following))
    return {name: "" if now.get(name) == then.get(name) else
            "unset" if name not in then else "changed" if name in now else "set" for name in sorted({*now, *then})}


def read_values(content: bytes, names: Collection[str]) -> dict[str, str]:
    """The values in NAME=value lines, given as bytes. Raises Refused with all that is wrong, as with a name that nobody
    asked for."""
    values, problems = envfile.read(content, "input")
    if any("not KEY=value" in problem for problem in problems):
        problems.append(HOLDS_LINES)
    if names:
        problems += [f"no value for {name}" for name in names if not values.get(name) and not problems]
        problems += [f"{name} was not asked for" for name in values if name not in names]
    elif not values and not problems:
        problems.append("nothing to set: give NAME=value lines on stdin")
    problems += [f"{name} has no value: use env unset" for name in values if not values[name] and not names]
    if problems:
        raise Refused("\n".join(problems))
    return values


def check_names(names: Iterable[str]) -> None:
    """Raise Refused for what is no name; a value given as an argument is not repeated."""
    for name in names:
        if "=" in name:
            raise Refused(f"{name.partition('=')[0]}: give the name alone: a value here would show in the process list")
        if not envfile.LINE.fullmatch(f"{name}="):
            raise Refused(f"{name!r} is not the name of a setting")


# ---- what each action does ----
# What is typed is read before the event loop runs, which must not wait for it.

@dataclass(frozen=True)
class Change:
    """What is to be staged; `files`: name → content, secrets; `done` is said in the end."""

    done: str
    values: Mapping[str, str] = field(default_factory=dict)
    unset: Collection[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def set_(args: argparse.Namespace) -> Change:
    check_names(args.names)
    values = read_values(ask(args.names) if sys.stdin.isatty() else sys.stdin.buffer.read(), args.names)
    return Change(f"staged {', '.join(values)}", values)


def unset(args: argparse.Namespace) -> Change:
    check_names(args.names)
    return Change(f"staged without {', '.join(args.names)}", unset=args.names)


def set_file(args: argparse.Namespace) -> Change:
    """The file gets a name of its own, so that a release that is taken back finds its former one."""
    check_names([args.name])
    name = f"{args.name}.{secrets.token_hex(4)}"
    values = {f"{args.name}_FILE": f"/run/secrets/{name}"}
    return Change(f"staged {args.name}_FILE", values, files={name: read_file(args.file)})


CHANGES = {"set": set_, "unset": unset, "set-file": set_file}


def run(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], args: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """What the command line asks for, to be awaited."""
    connections = Connections(fleet, ssh, list(hosts), lambda event: None)
    return show(connections) if args.action == "list" else stage(connections, CHANGES[args.action](args))


async def show(hosts: Connections) -> None:
    """Names, and what is staged; grouped where hosts differ."""
    async def known(host: Host) -> Texts:
        return understood(*await read(hosts, host))
    async with hosts:
        await hosts.reach_all()
        texts = await on_each(hosts.hosts, known)
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, (current, following) in sorted(texts.items()):
        lines = tuple(f"  {setting:32} {state and 'staged: ' + state}".rstrip()
                      for setting, state in differences(current, following).items())
        groups.setdefault(lines, []).append(name)
    for lines, names in groups.items():
        print("\n".join([f"{', '.join(names)}:", *(lines or ["  nothing set"])]))


# ---- doing it ----

async def stage(hosts: Connections, change: Change) -> None:
    """Stage it on all hosts or on none. Raises Refused with the problems of all hosts, Locked when somebody else is at
    one of them."""
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
    """The bytes that the user writes in an editor, which shows the names alone. Raises Refused."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:  # only its owner may look in
        path = Path(folder, "settings")
        path.write_text("".join(f"{name}=\n" for name in names) or "# NAME=value, a line each\n", "utf-8")
        try:
            subprocess.run([*editor, str(path)], check=True)
            return path.read_bytes()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Refused(f"{editor[0]}: {error}: set EDITOR, or give the lines on stdin") from None


def read_file(path: str) -> bytes:
    """The bytes of a file, - being stdin. Raises Refused."""
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if not content.strip():
        raise Refused(f"{path} is empty")
    return content
