"""Operations that pyinfra lacks: a file that is written whole, and nginx's files, which nginx tests first; and the fact
by which both look at what is there."""

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

from ..server.files import File
from ..server.site import NGINX, Site

Commands = Generator[PyinfraCommand | str, None, None]


@dataclass(frozen=True)
class Entry:
    """What is at a path. `kind`: find's letter (f, d, l); `mode`: octal; `target`: a link's; `digest`: sha256."""

    kind: str
    user: str
    group: str
    mode: str
    target: str = ""
    digest: str = ""

    def holds(self, content: str) -> bool:
        """Whether it is a file of this content."""
        return self.digest == hashlib.sha256(content.encode()).hexdigest()


class Files(FactBase[dict[str, Entry]]):
    """path → Entry of each of these paths that is there, by one command."""

    default = dict

    def command(self, paths: Iterable[str]) -> StringCommand:
        """What pyinfra runs."""
        words = [QuoteString(path) for path in paths]
        return StringCommand(
            "find", *words, r"-maxdepth 0 -printf '%y|%u|%g|%m|%l|%p\n' 2>/dev/null;",
            "sha256sum", *words, "2>/dev/null; true") if words else StringCommand("true")

    def process(self, output: Iterable[str]) -> dict[str, Entry]:
        """The fact, from the lines of output."""
        text = "\n".join(output)
        digests = {path: digest for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE)}
        found = re.findall(r"^(.)\|(.*?)\|(.*?)\|([0-7]+)\|(.*?)\|(/.*)$", text, re.MULTILINE)
        return {path: Entry(kind, user, group, mode, target, digests.get(path, ""))
                for kind, user, group, mode, target, path in found}


class PutWhole(PyinfraCommand):
    """pyinfra's command that has the connector write a file whole, with its owner and mode from the start."""

    def __init__(self, path: str, content: str, mode: str = "644", user: str = "root", group: str = "root") -> None:
        super().__init__()
        self.words = path, content.encode(), int(mode, 8), user, group

    def execute(self, state: Any, host: Any, connector_arguments: Any) -> bool:
        """Write it. Raises HostProblem."""
        host.connector.put(*self.words)
        return True


@operation()
def whole_file(file: File, seen: Mapping[str, Entry] | None = None) -> Commands:
    """Put a file in place by one rename; one with `once` keeps its content. `seen`: the fact Files, if known."""
    if seen is None:
        seen = host.get_fact(Files, paths=[file.path])
    there = seen.get(file.path)
    owned = there and (there.user, there.group, there.mode) == (file.user, file.group, file.mode)
    if not there or not file.once and not (there.kind == "f" and owned and there.holds(file.content)):
        yield PutWhole(file.path, file.content, file.mode, file.user, file.group)
    elif not owned:
        yield chown(file.path, file.user, file.group)
        yield chmod(file.path, file.mode)
    else:
        host.noop(f"{file.path} is as it should be")


@operation()
def nginx_site(site: Site) -> Commands:
    """Put a site's files in place, all or none, once nginx has tested them in a copy of its folder."""
    there = host.get_fact(Files, paths=site.paths)
    rest = Site(site.name, {path: content for path, content in site.first.items()  # others include them
                            if path not in there or there[path].holds("")}
                | {path: content for path, content in site.files.items()
                   if path not in there or not there[path].holds(content)},
                {path: target for path, target in site.links.items()
                 if path not in there or there[path].target != target},
                tuple(path for path in site.absent if path in there))
    if not rest.paths:
        return
    yield copy_script(rest)
    for path, content in rest.files.items():
        yield PutWhole(in_copy(rest, path), content)
    yield test_script(rest)
    yield swap_script(rest)


# ---- scripts for nginx: its files are tested in a copy of /etc/nginx, then each is moved into place ----

def in_copy(site: Site, path: str = NGINX) -> str:
    """A path below /etc/nginx, in the copy; the copy's own."""
    return path.replace(NGINX, f"{NGINX}.new-{site.name}", 1)


def copy_script(site: Site) -> str:
    """The script that makes the copy, without the site's new files."""
    copy = in_copy(site)
    return "\n".join(["set -e", f"rm -rf {copy}", f"cp -a {NGINX} {copy}",
                      *(f"rm -f {in_copy(site, path)}" for path in site.absent),
                      *(f"mkdir -p {os.path.dirname(in_copy(site, path))}" for path in (*site.files, *site.links)),
                      *(f"ln -sfn {target} {in_copy(site, path)}" for path, target in site.links.items())])


def test_script(site: Site) -> str:
    """Return the script that has nginx test the copy as /etc/nginx, in a mount namespace of its own."""
    copy = in_copy(site)
    return f"unshare --mount sh -c 'mount --bind {copy} {NGINX} && nginx -t -q' || {{ rm -rf {copy}; exit 1; }}"


def swap_script(site: Site) -> str:
    """The script that moves the tested files into place and reloads nginx."""
    lines = ["set -e", "sync"]
    for path in (*site.files, *site.links):
        lines += [f"mkdir -p {os.path.dirname(path)}", f"mv -fT {in_copy(site, path)} {path}"]
    return "\n".join([*lines, *(f"rm -f {path}" for path in site.absent), f"rm -rf {in_copy(site)}", "sync",
                      "! systemctl --quiet is-active nginx.service || systemctl reload nginx.service"])
