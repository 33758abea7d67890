"""The verdicts on migrations that the live release lacks, from the image on this machine, for `make plan`."""

from collections.abc import Iterator

from slipway.make import verdicts

from ..agent.shapes import Facts
from ..agent.steps.verdicts import parse_plan


def lines(image: str, facts: Facts) -> Iterator[str]:
    """Yield a line for each verdict; nothing if the host does not know the live release's migrations."""
    if live := parse_plan(facts["plan"]):
        vendor = "postgresql" if facts["sqlite"] is None else "sqlite"
        if (found := verdicts.in_image(["docker"], image).get(vendor)) is not None:
            yield from verdicts.lines({vendor: found}, found.keys() - live)
        else:
            yield f"the verdicts on its migrations are unknown: {image} is not on this machine, or has none"
