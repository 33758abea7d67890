"""Copy a release's static files to the folder that nginx serves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from .. import disk, image_files
from ..attempt import Attempt
from ..host import Host, Problem
from ..message_types import Member, Say
from .step import step

ROOT = "static-root"  # folder of static files, in the image's working folder
FORMS = ("", ".gz", ".br")  # endings of the names of a static file and of its compressed copies


@step(660, undo=None, takeback="the files stay, unused")
def publish(host: Host, attempt: Attempt, say: Say) -> None:
    """Add the release's static files to earlier ones. Overwrite none: each name has a hash of the file's content."""
    with image_files.create_container(host, attempt.noted["image_id"]) as container:
        root = f"{image_files.folder(host, attempt.noted['image_id'])}/{ROOT}"
        manifest = image_files.read_text(host, container, root + "/staticfiles.json")
        if manifest is not None:
            add(host, parse_manifest(manifest), image_files.members(host, container, root))


def parse_manifest(manifest: str) -> set[str]:
    try:
        names = set(json.loads(manifest)["paths"].values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Problem(f"{ROOT}/staticfiles.json in the image is no valid manifest: build the image again") from None
    for name in names:
        check_name(name)
    return names


def check_name(name: object) -> None:
    text = name if isinstance(name, str) else ""
    if not all(part not in ("", ".", "..") for part in text.split("/")) or not text.isprintable() or "\\" in text:
        raise Problem(f"a static file in the image has the unsafe name {name!a}: build the image again")


def is_published(name: str, names: set[str]) -> bool:
    """Return True if `names` contain the file or its uncompressed form, or if django-compressor made the file."""
    base = name[:-3] if name.endswith(FORMS[1:]) else name
    return name in names or base in names or name.startswith(("CACHE/css/", "CACHE/js/"))


def add(host: Host, names: set[str], members: Iterable[Member]) -> None:
    """Add the members that `is_published` chooses and this host lacks: write all under other names, then rename all.
    Raise Problem and add nothing if the image lacks one of `names`, or if a wanted file is not regular."""
    folder = host.var + "/static"
    added: list[str] = []
    seen = set()
    try:
        for member, content in members:
            name = member.name.partition("/")[2]
            if not is_published(name, names) or member.isdir():
                continue
            check_name(name)
            seen.add(name)
            if content is None:
                raise Problem(f"{ROOT}/{name} in the image is not a regular file: build the image again")
            path = f"{folder}/{name}"
            if path not in added and not os.path.lexists(path):
                make_room(folder, path)
                added.append(path)
                write(path + ".part", content)
        if names - seen:
            raise Problem(f"{ROOT}/{min(names - seen)}, named by the manifest, is not in the image: build again")
        sync(host, folder, added)  # the content must be on disk before the next lines give the files their names
        for path in added:
            os.rename(path + ".part", path)
    finally:
        disk.remove(*(path + ".part" for path in added))
    sync(host, folder, added)


def sync(host: Host, folder: str, added: list[str]) -> None:
    if added:
        host.call("sync", "-f", folder, timeout=120)


def make_room(folder: str, path: str) -> None:
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != os.path.realpath(folder) + parent[len(folder) :]:
        raise Problem(f"there is a symlink in the path {parent}: remove it")
    os.makedirs(parent, 0o755, exist_ok=True)
    disk.remove(path + ".part")


def write(path: str, content: Iterable[bytes]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
        os.fchmod(out.fileno(), 0o644)
        out.writelines(content)
