"""A release's static files on the host's disk, where nginx serves them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable

from .. import disk, image_files
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Member, Say

ROOT = "static-root"  # below the image's working folder
FORMS = ("", ".gz", ".br")  # a file, and what it was compressed to


def publish(host: Host, attempt: Attempt, say: Say) -> None:
    """The release's hashed files beside those of the releases before, as data: no code of the image is run. A name that
    is there already is the same file, and left alone."""
    attempt.note(changed=True)
    with image_files.opened(host, attempt.noted["image_id"]) as container:
        root = "%s/%s" % (image_files.folder(host, attempt.noted["image_id"]), ROOT)
        manifest = image_files.text(host, container, root + "/staticfiles.json")
        if manifest is not None:
            add(host, names_in(manifest), image_files.members(host, container, root))


def names_in(manifest: str) -> set[str]:
    """The names with a hash that a manifest holds. Raises Problem for what is no such thing."""
    try:
        names = set(json.loads(manifest)["paths"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Problem("the image's %s/staticfiles.json is no manifest: build it anew" % ROOT) from None
    for name in names:
        plain(name)
    return names


def plain(name: object) -> None:
    """Raise Problem unless it is the name of a file below a folder."""
    text = name if isinstance(name, str) else ""
    if not all(part not in ("", ".", "..") for part in text.split("/")) or not text.isprintable() or "\\" in text:
        raise Problem("the image's static files have the name %s: build it anew" % ascii(name))


def wanted(name: str, names: set[str]) -> bool:
    """Whether a file goes to visitors: one of the manifest's, compressed or not, or of django-compressor's."""
    base = name[:-3] if name.endswith(FORMS[1:]) else name
    return name in names or base in names or name.startswith(("CACHE/css/", "CACHE/js/"))


def add(host: Host, names: set[str], members: Iterable[Member]) -> None:
    """Add to the folder of visitors what it lacks of the files that are wanted: written beside, and, when all is on the
    disk, renamed. Raises Problem, with nothing added, for one that is no regular file or did not come."""
    folder, parts, came = host.var + "/static", {}, set()
    try:
        for member, content in members:
            name = member.name.partition("/")[2]
            if not wanted(name, names) or member.isdir():
                continue
            plain(name)
            came.add(name)
            if content is None:
                raise Problem("%s/%s in the image is no regular file: build it anew" % (ROOT, name))
            path = "%s/%s" % (folder, name)
            if not os.path.lexists(path):
                make_room(folder, path)
                parts[path + ".part"] = path
                write(path + ".part", content)
        if names - came:
            raise Problem("%s/%s is not in the image, and its manifest names it" % (ROOT, min(names - came)))
        sync(host, folder, parts)  # content is on the disk before its name is
        for part, path in parts.items():
            os.rename(part, path)
    finally:
        disk.remove(*parts)
    sync(host, folder, parts)


def sync(host: Host, folder: str, parts: Collection[str]) -> None:
    """The folder's file system alone: another one may hang. Not even that where nothing is new."""
    if parts:
        host.call("sync", "-f", folder, timeout=120)


def make_room(folder: str, path: str) -> None:
    """The folder of a file, and nothing in its place beside. No link that an older release left here is followed."""
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != os.path.realpath(folder) + parent[len(folder):]:
        raise Problem("there is a link in %s: remove it" % parent)
    os.makedirs(parent, 0o755, exist_ok=True)
    disk.remove(path + ".part")


def write(path: str, content: Iterable[bytes]) -> None:
    """A new file, to be read by all."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
        os.fchmod(out.fileno(), 0o644)
        out.writelines(content)
