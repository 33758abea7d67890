"""What is wrong between the keys of [watch], each being well formed. Pure."""

from typing import Any

from .checks import Problems


def problems(watch: dict[str, Any]) -> Problems:
    """All of it."""
    if watch["ttl"] < 2 * watch["every"]:
        yield "watch.ttl", f"{watch['ttl']} s are less than twice watch.every, {watch['every']} s"
    if watch["over"] < watch["ttl"]:
        yield "watch.over", f"{watch['over']} s are less than watch.ttl, {watch['ttl']} s"
    if watch["front"] and watch["places"] > len(watch["probes"]) + 1:
        yield "watch.places", (f"{watch['places']} are more than there are, this machine and {len(watch['probes'])} in"
                               " watch.probes")
