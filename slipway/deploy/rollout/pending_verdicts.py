"""The verdicts on migrations that the live release lacks, from the image on this machine, for `slipway plan`."""

from typing import NamedTuple

from slipway.make import verdicts

from ..agent.message_types import Facts
from ..agent.steps.verdicts import judge, parse_plan, uses_in

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
    noted = verdicts.in_image(["docker"], image).get(vendor)
    if live and noted is not None:
        stored = any(name.startswith(BLOBS) for name in live)
        names = sorted(name for name in noted["migrations"].keys() - live if stored or not name.startswith(BLOBS))
        tag = facts["tag"]["tag"] if facts["tag"] else ""
        uses = uses_in(verdicts.in_image(["docker"], f"{image.rpartition(':')[0]}:{tag}"), vendor)
        judged = judge(names, {"vendors": {vendor: noted}, "failed": {}}, vendor, uses)
        return Pending([*verdicts.lines({vendor: noted}, names, uses)], judged["incompatible"])
    return Pending(
        [
            f"the verdicts on its migrations are unknown: {image} is not on this machine, or has none, or the live"
            " release is the first"
        ],
        {},
    )
