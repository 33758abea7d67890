"""End what a deploy has replaced, some time after it: a timer does this, with the host's lock."""

from __future__ import annotations

import os
import sys
import time

from . import images, slots, staging
from .host import Host, Problem

DAY = 86_400


def retire(host: Host, image: str, last: str, slot: str, tag: str, image_id: str, drained: str) -> None:
    """Stop the slot if it is idle and still runs `tag`; remove old images and secrets. A timer runs this. `last`: how
    many releases keep their images; `drained`: seconds for visitors to leave."""
    if slot != slots.live(host) and slots.release_in(host, slot) == {"tag": tag, "image_id": image_id}:
        slots.stop(host, slot, float(drained))
    try:
        staging.drop_secrets(host)
        images.prune(host, image, int(last), most=20)  # at most 20, as a deploy may wait for this
    except (Problem, OSError) as problem:
        print(f"some old images or secrets could not be removed: {problem}", file=sys.stderr)


def drop_agents(host: Host, folder: str) -> None:
    """Remove agents of other versions than that in `folder`. Those of the last day may still run."""
    import shutil  # only when needed: it loads slowly

    for name in os.listdir(host.run):
        path = f"{host.run}/{name}"
        if name.startswith("agent.") and path != folder and time.time() - os.stat(path).st_mtime > DAY:
            shutil.rmtree(path, ignore_errors=True)
