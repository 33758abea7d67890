"""The verdicts on migrations that the live release lacks, from the image on this machine, for `make plan`."""

import json

from slipway.make import verdicts

from ..agent.shapes import Facts
from ..agent.steps.verdicts import parse_plan
from ..errors import HostProblem
from ..ssh import child

READ = ["docker", "run", "--rm", "--pull=never", "--network=none", "--entrypoint=cat"]


async def lines(image: str, facts: Facts) -> list[str]:
    """Return a line for each verdict; nothing if the host does not know the live release's migrations."""
    live, vendor = parse_plan(facts["plan"]), "postgresql" if facts["sqlite"] is None else "sqlite"
    if not live:
        return []
    try:
        done = await child.run([*READ, image, "migrations.json"])
        if done.code:
            return [f"the verdicts on its migrations are unknown: {image} is not on this machine"]
        found = json.loads(done.out)["vendors"].get(vendor, {})
        return [*verdicts.lines({vendor: found}, found.keys() - live)]
    except (HostProblem, OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # a plan without them is better than none
