"""Which files are on a host, in one look, and what of the things wanted is settled by that. Pure."""

import hashlib
import re
import shlex
from dataclasses import dataclass

from .things import Absent, File, Folder, Group, Site


@dataclass(frozen=True)
class Entry:
    """What is at a path: `kind` is find's letter (f, d, l), `mode` octal, `digest` sha256 of a file."""

    kind: str
    owner: str = ""
    group: str = ""
    mode: str = ""
    target: str = ""
    digest: str = ""


def paths_of(things):
    """Every path that the things are about."""
    for thing in things:
        if isinstance(thing, Group):
            yield from paths_of(thing.things)
        elif isinstance(thing, Site):
            yield from (*thing.files, *thing.links, *thing.absent)
        elif isinstance(thing, (Absent, File, Folder)):
            yield thing.path


def script(paths):
    """The shell script that looks at them."""
    words = shlex.join(paths)
    look = f"find {words} -maxdepth 0 -printf '%y|%u|%g|%m|%l|%p\\n' 2>/dev/null; sha256sum {words} 2>/dev/null; true"
    return look if words else "true"


def parse(output):
    """path → Entry, of what the script printed."""
    digests = {path: digest for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", output, re.MULTILINE)}
    found = re.findall(r"^(.)\|(.*?)\|(.*?)\|([0-7]+)\|(.*?)\|(/.*)$", output, re.MULTILINE)
    return {path: Entry(kind, owner, group, mode, target, digests.get(path, ""))
            for kind, owner, group, mode, target, path in found}


def settled(thing, tree):
    """Whether a File, Folder or Absent needs nothing more."""
    there = tree.get(thing.path)
    if isinstance(thing, Absent):
        return there is None
    if there is None or there.kind != ("d" if isinstance(thing, Folder) else "f"):
        return False
    owned = not thing.mode or (there.owner, there.group, there.mode) == (thing.owner, thing.group, thing.mode)
    return owned and (isinstance(thing, Folder) or thing.once or there.digest == digest(thing.content))


def unsettled(site, tree):
    """What of a Site is not so yet: files (path → content), links (path → where to), paths that must go."""
    return ({path: content for path, content in site.files.items()
             if tree.get(path, Entry("")).digest != digest(content)},
            {path: target for path, target in site.links.items() if tree.get(path, Entry("")).target != target},
            [path for path in site.absent if path in tree])


def digest(content):
    return hashlib.sha256(content.encode()).hexdigest()
