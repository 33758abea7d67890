"""The verdicts on migrations that the live release lacks, from the image on this machine, for `make plan`."""

import json

from slipway.make import verdicts

from ..errors import HostProblem
from ..ssh import child
from ..ssh.connection import Connection

READ = ["docker", "run", "--rm", "--pull=never", "--network=none", "--entrypoint=cat"]


async def lines(judge: Connection, image: str) -> list[str]:
    """Return a line for each verdict; nothing if the host does not know the live release's migrations."""
    try:
        live = await judge.ask("listed")
        if not live.get("names"):
            return []
        done = await child.run([*READ, image, "migrations.json"])
        if done.code:
            return [f"the verdicts on its migrations are unknown: {image} is not on this machine"]
        entries = json.loads(done.out)["vendors"].get(live["vendor"], {})
        return [*verdicts.lines({"vendors": {live["vendor"]: entries}}, entries.keys() - live["names"])]
    except (HostProblem, OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # a plan without them is better than none
