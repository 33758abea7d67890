"""plan, deploy and rollback as they are typed. Each takes the fleet, how it is reached, and the parsed arguments."""

import re
import sys
import time

from . import display, source
from .errors import DeployError, Locked, Refused
from .plan import Options, shown
from .rollout import Rollout

AGAIN = 10  # seconds between two tries for a lock that somebody else holds
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"


def plan(fleet, ssh, args):
    rollout = rollout_of(fleet, ssh, args, "deploy", display.Lines(sys.stderr))
    print("\n".join(shown(rollout.plan())))


def deploy(fleet, ssh, args):
    if args.dry_run:
        return plan(fleet, ssh, args)
    return watched(fleet, ssh, args, "deploy")


def rollback(fleet, ssh, args):
    return watched(fleet, ssh, args, "rollback")


def watched(fleet, ssh, args, action):
    """Do it with a display."""
    show = display.choose(args.json)
    rollout = rollout_of(fleet, ssh, args, action, show)
    try:
        patiently(rollout.run, args.wait, show.tell)
    except DeployError as error:
        show.tell({"event": "result", "outcome": "failed", "exit": error.exit_code, "problem": str(error)})
        raise
    finally:
        if args.timings:
            display.put(display.timings(rollout.timings), sys.stderr)


def patiently(run, seconds, tell):
    """Run; while somebody else holds the lock, again, for so many seconds. Each look is a new one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return run()
        except Locked as error:
            if time.monotonic() + AGAIN > deadline:
                raise
            tell({"event": "waiting", "text": f"{error}; waiting for it"})
            time.sleep(AGAIN)


def rollout_of(fleet, ssh, args, action, show):
    tag = args.to if action == "rollback" else args.tag
    if not re.fullmatch(TAG, tag) and (tag or action != "rollback"):
        raise Refused(f"{tag!r} is no tag of an image: say which release, TAG=build-42")
    if action == "deploy" and tag.endswith("-dirty") and not args.allow_dirty:
        raise Refused(source.DIRTY.format(tag))
    more = {} if action == "rollback" else {"parallel": args.parallel, "bake": not args.no_bake,
                                            "allow_dirty": args.allow_dirty}
    options = Options(allow_incompatible=args.allow_incompatible, **more)
    return Rollout(fleet, ssh, fleet.chosen(args.hosts), show.tell, action, tag, options, args.skip_unreachable)
