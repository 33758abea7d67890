"""manifests: files for Kubernetes, or for a platform, of what the toml says and a release."""

import argparse
import os
import re
import subprocess
from pathlib import Path

from ..config import Fleet
from ..engine.kustomize import manifests
from ..engine.platforms import PLATFORMS
from ..engine.workloads import Release
from ..errors import Refused
from ..rollout import images
from ..screen.files import put_files
from ..swarm.stack import files
from .plan import check_tag

ENV = re.compile(r"[a-z0-9][a-z0-9-]*")
MAKERS = {**PLATFORMS, "swarm": files}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="TAG", help="the release, a tag of the image")
    parser.add_argument("--digest", default="", help="of the image in its registry; left out, this machine's Docker"
                                                     " tells that of what it has pushed or pulled")
    parser.add_argument("--engine", default="", choices=["kubernetes", *PLATFORMS], help="instead of the toml's")
    parser.add_argument("--out", type=Path, metavar="DIR", help="manifests/$ENV, ENV being production")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    check_tag(args.tag)
    if args.tag.endswith("-dirty"):
        raise Refused(images.DIRTY.partition(";")[0].format(args.tag))
    if fleet.engine["kind"] == "hosts":
        raise Refused("engine.kind is \"hosts\", which needs no manifests: write kind = \"kubernetes\" under [engine]")
    if fleet.is_swarm and args.engine:
        raise Refused("engine.kind is \"swarm\", which names no settings: another engine needs a file of its own")
    env = os.environ.get("ENV") or "production"
    if not ENV.fullmatch(env):
        raise Refused(f"ENV={env}: its name is of small letters, digits and -")
    out, make = args.out or Path("manifests", env), MAKERS.get(args.engine or fleet.engine["kind"], manifests)
    release = Release(args.tag, args.digest or pushed(fleet.image, args.tag))
    if not DIGEST.fullmatch(release.digest):
        raise Refused(f"--digest {release.digest}: it is sha256: and 64 digits")
    made = make(fleet, release)
    put_files(out, made)
    print("\n".join(str(out / name) for name in made))


def pushed(image: str, tag: str) -> str:
    """The digest under which this machine's Docker knows the image in its registry. Raises Refused."""
    asked = ["docker", "image", "inspect", "--format", "{{join .RepoDigests \"\\n\"}}", f"{image}:{tag}"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"docker does not answer ({error}): name the image by --digest sha256:…") from None
    for line in said.stdout.split():
        name, _, digest = line.partition("@")
        if name in (image, image.removeprefix("docker.io/").removeprefix("library/")):
            return digest
    raise Refused(f"this machine's Docker has pushed or pulled no {image}:{tag}: make push, or name it by --digest")
