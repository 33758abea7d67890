"""Images on this host: what a tag stands for in the registry, pulling, what an image holds, removing old ones."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from . import disk, engine, image_files, releases, slots
from .answers import Image, Resolved
from .host import Host, Problem
from .shapes import Noted, Record, Release

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
PULL = 1800  # seconds
REVISION = "org.opencontainers.image.revision"


def resolve(host: Host, image: str, tag: str, architectures: Sequence[str], credentials: str = "") -> Resolved:
    """{"digest"} that a tag stands for, "index" where that is a list of images, one an architecture. Raises Problem
    when there is none, or none for one of the architectures (as uname names them)."""
    login = engine.login_for(host, image, credentials)
    status, body = engine.call(host, "GET", "/distribution/%s:%s/json" % (image, tag), login)
    refuse(status, body, "cannot find image %s:%s in its registry" % (image, tag), image, credentials)
    found = json.loads(body)
    there = {part.get("architecture") for part in found.get("Platforms") or () if part.get("os") == "linux"}
    missing = [name for name in (ARCHITECTURES.get(one, one) for one in architectures) if there and name not in there]
    if missing:
        raise Problem("image %s:%s is for another architecture than %s: build it with PLATFORM=linux/%s" % (
            image, tag, missing[0], missing[0]))
    kind = found["Descriptor"].get("mediaType", "")
    return {"digest": found["Descriptor"]["digest"], "index": "list" in kind or "index" in kind}


def refuse(status: int, body: str, what: str, image: str, credentials: str) -> None:
    """Raise Problem unless the engine did what it was asked to."""
    why = engine.trouble(status, body)
    if credentials and ("unauthorized" in why or "denied" in why):
        raise Problem("%s lets nobody in as %s (%s): see the variable that registry.login names" % (
            engine.registry_of(image), credentials.partition(":")[0], why))
    if why:
        raise Problem("%s: %s" % (what, why))


def about(host: Host, reference: str) -> Image | None:
    """What is known of an image that is here, or None: its id, the digests it was pulled by, and the revision it was
    built from, as its label says."""
    status, body = engine.call(host, "GET", "/images/%s/json" % reference)
    if status == 404:
        return None
    if status != 200:
        raise Problem("Docker does not know of image %s: %s" % (reference, engine.trouble(status, body)))
    found = json.loads(body)
    return {"image_id": found["Id"],
            "digests": sorted({name.partition("@")[2] for name in found.get("RepoDigests") or ()}),
            "revision": ((found.get("Config") or {}).get("Labels") or {}).get(REVISION, "")}


def pull(host: Host, image: str, tag: str, digest: str, credentials: str = "", reference: str = "") -> Image:
    """Pull by digest (from `reference` instead of `image`, where that is elsewhere), and tag it; what is known of it,
    and `others`: images that went by this tag before."""
    if not digest:  # Docker would take that for all tags
        raise Problem("image %s:%s is not here, and no digest of it is known: make deploy TAG=%s" % (image, tag, tag))
    name = reference or image
    source, login = "%s@%s" % (name, digest), engine.login_for(host, name, credentials)
    status, body = engine.call(host, "POST", "/images/create?fromImage=%s&tag=%s" % (name, digest), login, PULL)
    refuse(status, body, "docker pull %s" % source, name, credentials)
    found = about(host, source)
    if not found:
        raise Problem("%s was pulled and is not there" % source)
    found["others"] = others(releases.of_tag(host, tag), found)
    if not found["others"]:
        host.docker("tag", found["image_id"], "%s:%s" % (image, tag))
    if reference:
        host.docker("rmi", "--no-prune", source)  # the name alone
    return found


def others(records: list[Record], found: Image) -> list[str]:
    """Ids of other images than this one in the records of a tag. The same image has the same id, or was pulled by the
    same digest: an engine may give it another id than the engine before."""
    return sorted({record["image_id"] for record in records if record.get("image_id")
                   and record["image_id"] != found["image_id"] and record.get("digest") not in found["digests"]})


def content(host: Host, image: str, path: str) -> str | None:
    """The text of a file below the image's working folder, or None."""
    folder = image_files.folder(host, image)
    if folder is None:
        return None
    with image_files.opened(host, image) as container:
        return image_files.text(host, container, "%s/%s" % (folder, path))


def needed(host: Host, last: int = 0) -> set[str | None]:
    """Ids of the images that TAG, REVERT, a slot or an attempt need, and the `last` committed releases; of every app
    here, as several may go by one image's name."""
    names = os.listdir(host.root + "/var/www")
    apps = [Host(name, host.root) for name in names if os.path.exists("%s/var/www/%s/TAG" % (host.root, name))]
    return {image for app in [host, *apps] for image in needed_by(app, last)}


def needed_by(host: Host, last: int) -> list[str | None]:
    """The same of one app."""
    tag = releases.read_tag(host.tag)
    found: list[Release | Noted | None] = [tag, releases.read_tag(host.revert), releases.read_attempt(host)]
    found += [slots.release_in(host, slot) for slot in ("a", "b", "beat")]
    before = [release["image_id"] for release in reversed(releases.committed(releases.read_log(host)[0], tag))]
    return [*(release.get("image_id") for release in found if release), *list(dict.fromkeys(before))[:last]]


def prune(host: Host, image: str, last: int = 0, most: int = 1000) -> list[str]:
    """Remove this app's images that nothing needs, the oldest first, not more than so many at a time; their names."""
    form = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    rows = [line.split(" ") for line in host.docker(
        "image", "ls", "--no-trunc", "--digests", "--format", form, image).stdout.splitlines()]
    kept: set[str | None] = needed(host, last)
    gone: list[str] = []
    for found, name, by_digest in reversed(rows):
        reference = name if not name.endswith(":<none>") else by_digest
        if found in kept or reference in gone or len(gone) == most:
            continue
        if host.docker("rmi", reference, check=False, timeout=300).returncode == 0:
            gone.append(reference)
    disk.sync_folder(host.var)
    return gone
