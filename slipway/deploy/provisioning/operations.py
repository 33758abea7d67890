"""Operations for pyinfra: write files atomically; test nginx's files, then install them."""

import hashlib
import os
import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import PyinfraCommand, QuoteString, StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations.util.files import chmod, chown

from ..config import Host
from ..config.ssh import Ssh
from ..server.files import File
from ..server.site import NGINX, Site
from ..ssh import service_images

Commands = Generator[PyinfraCommand | str, None, None]


@dataclass(frozen=True)
class Entry:
    """A file, folder or link on a server."""

    kind: str  # f: file, d: folder, l: link
    user: str
    group: str
    mode: str  # octal, such as 755
    target: str = ""  # a link's target
    digest: str = ""  # a file's sha256

    def holds(self, content: str) -> bool:
        return self.digest == hashlib.sha256(content.encode()).hexdigest()

    def is_as(self, file: File) -> bool:
        return self.kind == "f" and self.is_owned_as(file) and self.holds(file.content)

    def is_owned_as(self, file: File) -> bool:
        return (self.user, self.group, self.mode) == (file.user, file.group, file.mode)


class Files(FactBase[dict[str, Entry]]):
    """A fact that pyinfra reads from a host: existing path → Entry (owner, mode, hash…)."""

    default = dict

    def command(self, paths: Iterable[str]) -> StringCommand:
        words = [QuoteString(path) for path in paths]
        return (
            StringCommand(
                "find",
                *words,
                r"-maxdepth 0 -printf '%y|%u|%g|%m|%l|%p\n' 2>/dev/null;",
                "sha256sum",
                *words,
                "2>/dev/null; true",
            )
            if words
            else StringCommand("true")
        )

    def process(self, output: Iterable[str]) -> dict[str, Entry]:
        text = "\n".join(output)
        digests = {path: digest for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE)}
        rows = re.findall(r"^(.)\|(.*?)\|(.*?)\|([0-7]+)\|(.*?)\|(/.*)$", text, re.MULTILINE)
        return {
            path: Entry(kind, user, group, mode, target, digests.get(path, ""))
            for kind, user, group, mode, target, path in rows
        }


class ServicesReady(FactBase[list[str]]):
    """A fact: those of the services `names` that run, and that the app could use."""

    default = list

    def command(self, names: Iterable[str]) -> str:
        return "".join(f"! docker-service ready {name} >/dev/null 2>&1 || echo {name}\n" for name in names)

    def process(self, output: Iterable[str]) -> list[str]:
        return [*output]


class ImagePresent(FactBase[bool]):
    """A fact: True if the host's Docker has an image of this name."""

    default = bool

    def command(self, image: str) -> StringCommand:
        return StringCommand("! docker image inspect", QuoteString(image), ">/dev/null 2>&1 || echo present")

    def process(self, output: Iterable[str]) -> bool:
        return "present" in output


class ConnectionsAllowed(FactBase[int]):
    """A fact: the max_connections that a service's file has; 0 if it has none."""

    default = int

    def command(self, path: str) -> str:
        return f"sed -n 's/.* max_connections=\\([0-9]\\{{1,6\\}}\\).*/\\1/p' {path}"

    def process(self, output: Iterable[str]) -> int:
        return max((int(line) for line in output if line.isdecimal()), default=0)


class BackupsReady(FactBase[bool]):
    """A fact: True if nothing is missing for the app's backups on the host."""

    default = bool

    def command(self, app: str) -> str:
        return f"! docker-backup ready {app} >/dev/null 2>&1 || echo ready"

    def process(self, output: Iterable[str]) -> bool:
        return "ready" in output


class PutWhole(PyinfraCommand):
    """Writes a file atomically, with owner and mode from the start."""

    def __init__(self, path: str, content: str, mode: str = "644", user: str = "root", group: str = "root") -> None:
        super().__init__()
        self.words = path, content.encode(), int(mode, 8), user, group

    def execute(self, state: Any, host: Any, connector_arguments: Any) -> bool:
        host.connector.put(*self.words)
        return True


@operation()
def whole_file(file: File, seen: Mapping[str, Entry] | None = None) -> Commands:
    """Write a file atomically. With `file.once` an existing one keeps its content. `seen`: what Files has found."""
    if seen is None:
        seen = host.get_fact(Files, paths=[file.path])
    yield from written(file, seen.get(file.path))


@operation()
def program(files: Iterable[File]) -> Commands:
    """Write the files of a program, and make their folders."""
    wanted = list(files)
    existing = host.get_fact(Files, paths=[file.path for file in wanted])
    missing = {os.path.dirname(file.path) for file in wanted if file.path not in existing}
    if missing:
        yield StringCommand("mkdir", "-p", *map(QuoteString, sorted(missing)))
    for file in wanted:
        yield from written(file, existing.get(file.path))


@operation()
def checked_file(file: File, check: str) -> Commands:
    """Write a file if a command, to which the path of its new form is added, accepts that."""
    existing = host.get_fact(Files, paths=[file.path]).get(file.path)
    new = File(f"{file.path}.new", file.content, file.mode, file.user, file.group)
    commands = [*written(file, existing)]
    if not any(isinstance(command, PutWhole) for command in commands):
        yield from commands
        return
    yield PutWhole(new.path, new.content, new.mode, new.user, new.group)
    yield f"{check}{new.path} && mv -f {new.path} {file.path} || {{ rm -f {new.path}; exit 1; }}"


def written(file: File, existing: Entry | None) -> Commands:
    if not existing or (not file.once and not existing.is_as(file)):
        yield PutWhole(file.path, file.content, file.mode, file.user, file.group)
    elif not existing.is_owned_as(file):
        yield chown(file.path, file.user, file.group)
        yield chmod(file.path, file.mode)
    else:
        host.noop(f"{file.path} is up to date")


@operation()
def nginx_site(site: Site) -> Commands:
    """Test a site's new files in a copy of /etc/nginx, then install them. If the test fails, install none."""
    existing = host.get_fact(Files, paths=site.paths)
    rest = Site(
        site.name,
        {
            path: content
            for path, content in site.first.items()  # later files include these
            if path not in existing or existing[path].holds("")
        }
        | {
            path: content
            for path, content in site.files.items()
            if path not in existing or not existing[path].is_as(File(path, content))
        },
        {
            path: target
            for path, target in site.links.items()
            if path not in existing or existing[path].target != target
        },
        tuple(path for path in site.absent if path in existing),
    )
    if not rest.paths:
        return
    copy = in_copy(rest)
    yield copy_script(rest)
    for path, content in rest.files.items():
        yield PutWhole(in_copy(rest, path), content)
    yield f"unshare --mount sh -c 'mount --bind {copy} {NGINX} && nginx -t -q' || {{ rm -rf {copy}; exit 1; }}"
    yield swap_script(rest)


class SentImage(PyinfraCommand):
    """Sends an image when pyinfra's operation runs."""

    def __init__(self, image: str, machine: Host, ssh: Ssh, architecture: str) -> None:
        super().__init__()
        self.words = image, machine, ssh, architecture

    def execute(self, state: Any, host: Any, connector_arguments: Any) -> bool:
        service_images.send(*self.words)
        return True


@operation()
def sent_image(image: str, machine: Host, ssh: Ssh, architecture: str) -> Commands:
    """Send an image of this machine to a host whose `uname -m` says `architecture`."""
    yield SentImage(image, machine, ssh, architecture)


# ---- nginx's scripts: test the files in a copy of /etc/nginx, then move each into place ----


def in_copy(site: Site, path: str = NGINX) -> str:
    return path.replace(NGINX, f"{NGINX}.new-{site.name}", 1)


def copy_script(site: Site) -> str:
    copy = in_copy(site)
    return "\n".join(
        [
            "set -e",
            f"rm -rf {copy}",
            f"cp -a {NGINX} {copy}",
            *(f"rm -f {in_copy(site, path)}" for path in site.absent),
            *(f"mkdir -p {os.path.dirname(in_copy(site, path))}" for path in (*site.files, *site.links)),
            *(f"ln -sfn {target} {in_copy(site, path)}" for path, target in site.links.items()),
        ]
    )


def swap_script(site: Site) -> str:
    lines = ["set -e", "sync"]
    for path in (*site.files, *site.links):
        lines += [f"mkdir -p {os.path.dirname(path)}", f"mv -fT {in_copy(site, path)} {path}"]
    return "\n".join(
        [
            *lines,
            *(f"rm -f {path}" for path in site.absent),
            f"rm -rf {in_copy(site)}",
            "sync",
            "! systemctl --quiet is-active nginx.service || systemctl reload nginx.service",
        ]
    )
