"""The verdicts on migrations that the live release lacks, from the image on this machine, for `slipway plan`."""

from collections.abc import Iterator

from slipway.make import verdicts

from ..agent.message_types import Facts
from ..agent.steps.verdicts import parse_plan

BLOBS = "slipway_blobs."  # the build judges this app always, and a release has it if it stores uploads in the database


def verdict_lines(image: str, facts: Facts) -> Iterator[str]:
    """Yield a line for each verdict, or that they are unknown."""
    live = parse_plan(facts["plan"])
    vendor = "postgresql" if facts["sqlite"] is None else "sqlite"
    recorded = verdicts.in_image(["docker"], image).get(vendor)
    if live and recorded is not None:
        stored = any(name.startswith(BLOBS) for name in live)
        names = (name for name in recorded.keys() - live if stored or not name.startswith(BLOBS))
        yield from verdicts.lines({vendor: recorded}, names)
    else:
        yield (
            f"the verdicts on its migrations are unknown: {image} is not on this machine, or has none, or the live"
            " release is the first"
        )
