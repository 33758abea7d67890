"""A release's static files on the host's disk, where nginx serves them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from .. import disk, image_files
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Member, Say

ROOT = "static-root"  # below the image's working folder
FORMS = ("", ".gz", ".br")  # a file, and what it was compressed to


def publish(host: Host, attempt: Attempt, say: Say) -> None:
    """Add the release's hashed files to those of earlier releases, as data: no code of the image is run. A name that is
    there already is the same file, and is left alone."""
    attempt.note(changed=True)
    with image_files.opened(host, attempt.noted["image_id"]) as container:
        root = "%s/%s" % (image_files.folder(host, attempt.noted["image_id"]), ROOT)
        manifest = image_files.text(host, container, root + "/staticfiles.json")
        if manifest is not None:
            add(host, names_in(manifest), image_files.members(host, container, root))


def names_in(manifest: str) -> set[str]:
    """The hashed names that a manifest holds. Raises Problem for what is no manifest."""
    try:
        names = set(json.loads(manifest)["paths"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Problem("the image's %s/staticfiles.json is no manifest: build it anew" % ROOT) from None
    for name in names:
        check_name(name)
    return names


def check_name(name: object) -> None:
    """Raise Problem for what is not the name of a file below a folder."""
    text = name if isinstance(name, str) else ""
    if not all(part not in ("", ".", "..") for part in text.split("/")) or not text.isprintable() or "\\" in text:
        raise Problem("the image's static files have the name %s: build it anew" % ascii(name))


def wanted(name: str, names: set[str]) -> bool:
    """Whether visitors need a file: it is one of the manifest's, compressed or not, or of django-compressor's."""
    base = name[:-3] if name.endswith(FORMS[1:]) else name
    return name in names or base in names or name.startswith(("CACHE/css/", "CACHE/js/"))


def add(host: Host, names: set[str], members: Iterable[Member]) -> None:
    """Add the wanted files that the folder of visitors lacks: all are written beside their place, then all are renamed.
    Raises Problem, with nothing added, for one that is no regular file, or is missing."""
    folder, added, seen = host.var + "/static", list[str](), set()
    try:
        for member, content in members:
            name = member.name.partition("/")[2]
            if not wanted(name, names) or member.isdir():
                continue
            check_name(name)
            seen.add(name)
            if content is None:
                raise Problem("%s/%s in the image is no regular file: build it anew" % (ROOT, name))
            path = "%s/%s" % (folder, name)
            if path not in added and not os.path.lexists(path):
                make_room(folder, path)
                added.append(path)
                write(path + ".part", content)
        if names - seen:
            raise Problem("%s/%s is not in the image, and its manifest names it" % (ROOT, min(names - seen)))
        sync(host, folder, added)  # content is on the disk before its name is
        for path in added:
            os.rename(path + ".part", path)
    finally:
        disk.remove(*(path + ".part" for path in added))
    sync(host, folder, added)


def sync(host: Host, folder: str, added: list[str]) -> None:
    """Sync the folder's file system where something was added; no other one, as that may hang."""
    if added:
        host.call("sync", "-f", folder, timeout=120)


def make_room(folder: str, path: str) -> None:
    """Make a file's folder and remove what is in the way. Raises Problem where the path leads through a link."""
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != os.path.realpath(folder) + parent[len(folder):]:
        raise Problem("there is a link in %s: remove it" % parent)
    os.makedirs(parent, 0o755, exist_ok=True)
    disk.remove(path + ".part")


def write(path: str, content: Iterable[bytes]) -> None:
    """Write a new file that all may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
        os.fchmod(out.fileno(), 0o644)
        out.writelines(content)
