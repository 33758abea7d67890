"""The verdicts on migrations that the live release lacks, from the image on this machine, for `slipway plan`."""

import json
from typing import Any, NamedTuple

from slipway.make import verdicts

from ..agent.host import Problem
from ..agent.message_types import Facts
from ..agent.steps.verdicts import InImage, judge, parse, parse_plan

BLOBS = "slipway_blobs."  # the build judges this app always, and a release has it if it stores uploads in the database


class Pending(NamedTuple):
    """`lines`: one for each verdict, or that they are unknown. `incompatible`: migration → why the live release does
    not work after it."""

    lines: list[str]
    incompatible: dict[str, str]


def pending(image: str, facts: Facts) -> Pending:
    """Return the verdicts on migrations that the live release lacks."""
    live = parse_plan(facts["plan"])
    vendor = "postgresql" if facts["sqlite"] is None else "sqlite"
    recorded = verdicts.in_image(["docker"], image).get(vendor)
    in_image = parsed({vendor: recorded})
    if live and recorded is not None and in_image is not None:
        stored = any(name.startswith(BLOBS) for name in live)
        names = sorted(name for name in recorded.keys() - live if stored or not name.startswith(BLOBS))
        judged = judge(names, in_image, vendor, names, live)
        return Pending([*verdicts.lines({vendor: recorded}, names)], judged["incompatible"])
    return Pending(
        [
            f"the verdicts on its migrations are unknown: {image} is not on this machine, or has none, or the live"
            " release is the first"
        ],
        {},
    )


def parsed(vendors: dict[str, Any]) -> InImage | None:
    """Return the verdicts as hosts read them; None if they cannot."""
    try:
        return parse(json.dumps({"vendors": vendors}))
    except Problem:
        return None
