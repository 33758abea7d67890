"""The command `plan`."""

import argparse
import os
import subprocess
import sys
from dataclasses import replace

from ..agent.releases import TAG
from ..config import Fleet
from ..engine import Rolling, engine_of
from ..errors import DeployError, Refused
from ..rollout import images
from ..rollout.plan import Options, table_rows
from ..screen.display import Lines
from ..screen.text_tables import table
from ..ssh.validate import Tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="TAG", nargs="?", help="a tag of the image; default: $TAG, else the commit")
    parser.add_argument("--live", action="store_true", help="deploy the live release, whatever TAG is")
    parser.add_argument("--parallel", type=int, metavar="N", help="switch at most N hosts at once; 0: no limit")
    parser.add_argument("--no-bake", dest="bake", action="store_const", const=0, help="skip the last watch")
    parser.add_argument("--allow-dirty", action="store_true", help="allow an image with uncommitted changes")
    parser.add_argument("--allow-locks", action="store_true", help="allow migrations that lock tables for long")
    add_risks(parser)


def add_risks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip-unreachable", action="store_true", help="go on without hosts that can't be reached")
    parser.add_argument(
        "--allow-incompatible", action="store_true", help="allow migrations that the older release cannot work with"
    )


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    rollout = deploy_from_args(fleet, args, Lines(sys.stderr).tell)
    print(table(table_rows(await rollout.plan())))
    if rollout.breaking:
        raise DeployError(rollout.breaking)


def deploy_from_args(fleet: Fleet, args: argparse.Namespace, tell: Tell) -> Rolling:
    tag = "" if args.live else chosen_tag(args.tag)
    if tag.endswith("-dirty") and not args.allow_dirty:
        raise Refused(images.DIRTY.format(tag))
    if "/" not in fleet.image and fleet.registry != "ssh":
        raise Refused(
            f"the image {fleet.image} names no registry, so hosts would pull a stranger's image from Docker"
            ' Hub: in the file of the servers, set image to a name like registry.example/shop, or registry = "ssh"'
        )
    if args.parallel is not None and args.parallel < 0:
        raise Refused(f"--parallel {args.parallel}: give a number of hosts, or 0 for no limit")
    given = {key: value for key in ("parallel", "bake") if (value := getattr(args, key)) is not None}
    given |= {"max_lock": 1e9} if args.allow_locks else {}
    options = Options(args.allow_incompatible, args.allow_dirty)
    return engine_of(replace(fleet, rollout=fleet.rollout | given)).rollout("deploy", tag, options, args, tell)


def chosen_tag(typed: str | None) -> str:
    """Return the typed tag, else $TAG, else the commit's. Raise Refused if it is no tag."""
    tag = (os.environ.get("TAG") or tag_of_commit()) if typed is None else typed
    check_tag(tag)
    return tag


def check_tag(tag: str) -> None:
    if not TAG.fullmatch(tag):
        raise Refused(f"{tag!r} is not a valid tag: name a release, such as build-42")


def tag_of_commit() -> str:
    """Return the name that `make build` gives to a release: the commit's, with -dirty if files are not committed."""
    name = git("rev-parse", "--short", "HEAD")
    return f"{name}-dirty" if git("status", "--porcelain") else name


def git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Refused("name the release to deploy, such as build-42: git knows no commit here") from None
    return done.stdout.strip()
