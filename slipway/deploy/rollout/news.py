"""The verdicts on migrations that the live release lacks, from the image on this machine, for `make plan`."""

from slipway.make import verdicts

from ..agent.shapes import Facts
from ..agent.steps.verdicts import parse_plan
from ..ssh.child import in_thread


async def lines(image: str, facts: Facts) -> list[str]:
    """Return a line for each verdict; nothing if the host does not know the live release's migrations."""
    live, vendor = parse_plan(facts["plan"]), "postgresql" if facts["sqlite"] is None else "sqlite"
    if not live:
        return []
    found = (await in_thread(verdicts.in_image, ["docker"], image)).get(vendor)
    if found is None:
        return [f"the verdicts on its migrations are unknown: {image} is not on this machine, or has none"]
    return [*verdicts.lines({vendor: found}, found.keys() - live)]
