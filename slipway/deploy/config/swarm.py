"""What is wrong between [engine] and the rest of the file, each being well formed. Pure."""

from collections.abc import Mapping
from typing import Any

from ..agent.roles import BUILT_IN, Process
from .checks import Problems


def problems(engine: Mapping[str, Any], known: Mapping[str, Process], media: str,
             ignored: Mapping[str, object]) -> Problems:
    """All of it. `ignored`: path → value of keys that a swarm does not go by."""
    if engine["kind"] == "hosts":
        if engine["replicas"]:
            yield "engine.replicas", "counts only with engine.kind = \"swarm\""
        return
    yield from ((path, "has no meaning with engine.kind = \"swarm\"") for path, value in ignored.items() if value)
    if media == "local":
        yield "media", "\"local\" files would differ between containers; use \"database\" or \"bucket\""
    yield from replica_problems(engine["replicas"], known)


def replica_problems(replicas: Mapping[str, int], known: Mapping[str, Process]) -> Problems:
    """What is wrong with the numbers of containers, and their ports."""
    if not replicas.get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"
    if replicas.get("beat", 1) > 1:
        yield "engine.replicas.beat", "only one beat may run"
    for name in replicas.keys() - known.keys():
        yield f"engine.replicas.{name}", f"there is no such process; there are {', '.join(known)}"
    for name in known.keys() - BUILT_IN.keys() - replicas.keys():
        yield f"engine.replicas.{name}", "is needed: how many there are, or 0"
    if "proxy" in known:
        yield "process.proxy", "the name is used for something else with engine.kind = \"swarm\""
    yield from ((f"process.{process.name}.ports", f"{port!r}: Swarm publishes a port at all addresses, not at one")
                for process in known.values() for port in process.ports if port.count(":") > 1)
