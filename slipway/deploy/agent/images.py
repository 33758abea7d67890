"""Images: find them in the registry, pull them, and remove old ones."""

from __future__ import annotations

import json
import os
from typing import TypedDict

from . import disk, docker, image_files, pull_failures, releases, slots
from .host import Host, Problem
from .message_types import Digest, Heard, ImageId, Noted, NotRequired, Record, Release

PULL = 1800  # limit: seconds for a pull
REVISION = "org.opencontainers.image.revision"


class Resolved(TypedDict):
    """The image that a tag names in the registry."""

    digest: Digest
    architectures: list[str]  # by Docker's names, such as amd64


class Image(TypedDict):
    """An image that this host has."""

    image_id: ImageId
    digests: list[Digest]
    revision: NotRequired[str]
    others: NotRequired[list[ImageId]]  # ids of different images that had the same tag before


def resolve(host: Host, image: str, tag: str, credentials: str = "") -> Resolved:
    """Return digest and Linux architectures of a tag in the image's registry. Raise Problem if the tag is missing."""
    login = docker.login_for(host, image, credentials)
    status, body = docker.call(host, "GET", f"/distribution/{image}:{tag}/json", login)
    raise_refusal(status, body, f"cannot find image {image}:{tag} in its registry", image, credentials)
    answer = json.loads(body)
    architectures = {
        part.get("architecture", "") for part in answer.get("Platforms") or () if part.get("os") == "linux"
    }
    return {"digest": answer["Descriptor"]["digest"], "architectures": sorted(architectures)}


def has_image(
    host: Host, image: str, tag: str, image_id: str, digest: str, credentials: str = "", pulls: bool = True
) -> None:
    """Raise Problem if a rollback could not get its image: this host lacks it, and so does the registry. `pulls`: False
    if there is no registry."""
    names = [*filter(None, [image_id, digest and f"{image}@{digest}"])]
    if any(inspect(host, name) for name in names):
        return
    cure = f"run slipway deploy {tag}"
    if not (digest and pulls):
        why = "the servers' file names no registry" if digest else "its digest is unknown"
        raise Problem(f"image {image}:{tag} is missing, and {why}: {cure}")
    status, body = docker.call(
        host, "GET", f"/distribution/{image}@{digest}/json", docker.login_for(host, image, credentials)
    )
    what = f"image {image}:{tag} is missing, and its registry does not give it"
    raise_refusal(status, body, what, image, credentials)


def raise_refusal(status: int, body: str, what: str, image: str, credentials: str) -> None:
    why = docker.error_of(status, body)
    if credentials and ("unauthorized" in why or "denied" in why):
        raise Problem(
            f"{docker.registry_of(image)} refuses the login of {credentials.partition(':')[0]} ({why}): check the"
            " variable that registry.login names"
        )
    if why:
        raise Problem("; ".join(filter(None, [f"{what}: {why}", pull_failures.cure(why, docker.registry_of(image))])))


def inspect(host: Host, reference: str) -> Image | None:
    inspected = docker.inspect_image(host, reference)
    if inspected is None:
        return None
    return {
        "image_id": inspected["Id"],
        "digests": sorted({name.partition("@")[2] for name in inspected.get("RepoDigests") or ()}),
        "revision": ((inspected.get("Config") or {}).get("Labels") or {}).get(REVISION, ""),
    }


def pull(
    host: Host,
    image: str,
    tag: str,
    digest: str,
    credentials: str = "",
    reference: str = "",
    heard: Heard = docker.ignore,
) -> Image:
    """Pull an image by its digest from repository `reference` (default: `image`). If releases.log has other images for
    the tag, return their ids as `others`; else tag the pulled image."""
    if not digest:  # without a digest Docker would pull all tags
        raise Problem(f"image {image}:{tag} is missing, and its digest is unknown: run slipway deploy {tag}")
    name = reference or image
    source = f"{name}@{digest}"
    pulled = inspect(host, source)
    if not pulled:
        bring(host, name, digest, credentials, heard)
        pulled = inspect(host, source)
    if not pulled:
        raise Problem(f"{source} was pulled, but Docker does not have it")
    pulled["others"] = other_ids([record for record in releases.read_log(host)[0] if record["tag"] == tag], pulled)
    if not pulled["others"]:
        path = f"/images/{pulled['image_id']}/tag?repo={image}&tag={tag}"
        status, body = docker.call(host, "POST", path)
        if not 200 <= status < 300:
            raise Problem(f"docker tag {image}:{tag}: {docker.error_of(status, body)}")
    if reference:  # remove the name `source`, not the image
        docker.ask(host, "DELETE", f"/images/{source}?noprune=1", "docker rmi " + source)
    return pulled


def bring(host: Host, image: str, digest: str, credentials: str = "", heard: Heard = docker.ignore) -> None:
    login = docker.login_for(host, image, credentials)
    path = f"/images/create?fromImage={image}&tag={digest}"
    status, body = docker.call(host, "POST", path, login, PULL, heard=heard)
    raise_refusal(status, body, f"docker pull {image}@{digest}", image, credentials)


def other_ids(records: list[Record], image: Image) -> list[str]:
    """Return the ids of images in `records` that differ from `image` in both id and digest."""
    return sorted(
        {
            record["image_id"]
            for record in records
            if record.get("image_id")
            and record["image_id"] != image["image_id"]
            and record.get("digest") not in image["digests"]
        }
    )


def read_file(host: Host, image: str, path: str) -> str | None:
    folder = image_files.folder(host, image)
    if folder is None:
        return None
    with image_files.create_container(host, image) as container:
        return image_files.read_text(host, container, f"{folder}/{path}")


def needed_ids(host: Host, last: int = 0) -> set[str | None]:
    """Return the ids of all images that apps on this host need. `last`: see needed_ids_of_app."""
    names = os.listdir(host.root + "/var/www")
    apps = [Host(name, host.root) for name in names if os.path.exists(f"{host.root}/var/www/{name}/TAG")]
    return {image for app in [host, *apps] for image in needed_ids_of_app(app, last)}


def needed_ids_of_app(host: Host, last: int) -> list[str | None]:
    """Return the ids of images that are in use or in REVERT, and of the `last` newest committed releases."""
    tag = releases.read_tag(host.tag)
    in_use: list[Release | Noted | None] = [tag, releases.read_tag(host.revert), releases.read_attempt(host)]
    in_use += [slots.release_in(host, slot) for slot in host.pinned()]
    before = [release["image_id"] for release in reversed(releases.committed_releases(releases.read_log(host)[0], tag))]
    return [*(release.get("image_id") for release in in_use if release), *list(dict.fromkeys(before))[:last]]


def prune(host: Host, image: str, last: int = 0, most: int = 1000) -> None:
    """Remove unneeded images of repository `image`, oldest first, by at most `most` names. `last`: see
    needed_ids_of_app."""
    path = docker.path_with_filter("/images/json?all=0", "reference", image)
    listed = docker.ask(host, "GET", path, "docker image ls") or ()
    kept: set[str | None] = needed_ids(host, last)
    old = [
        name
        for entry in sorted(listed, key=lambda entry: int(entry["Created"]))
        if entry["Id"] not in kept
        for name in entry["RepoTags"] or entry["RepoDigests"] or ()
    ]
    for name in old[:most]:
        docker.call(host, "DELETE", "/images/" + name, seconds=300)  # Docker keeps what a container uses
    disk.sync(host.var)
