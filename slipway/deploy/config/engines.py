"""What is wrong between [engine] and the rest of the file, each being well formed. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..agent.roles import BUILT_IN, Process
from .checks import Problems, address_and_port, is_numeric


def problems(engine: dict[str, Any], processes: Iterable[Process], hosts: Mapping[str, str], media: str,
             ignored: Mapping[str, object]) -> Problems:
    """All of it. `hosts`: name → internal address of those that run the app; `ignored`: path → value of keys that a
    swarm does not go by."""
    if engine["kind"] == "hosts":
        yield from ((f"engine.{key}", "counts only with engine.kind = \"swarm\"")
                    for key in ("replicas", "managers") if engine[key])
        return
    yield from of_replicas(engine, {process.name: process for process in processes})
    if media == "local":
        yield "media", "\"local\" files would differ between containers; use \"database\" or \"bucket\""
    yield from of_managers(engine["managers"], hosts)
    yield from ((f"process.{process.name}.ports", f"{port!r}: Swarm publishes a port at all addresses, not at one")
                for process in processes for port in process.ports if port.count(":") > 1)
    yield from ((f"hosts.{name}.internal", "is needed: the numeric address at which the swarm's nodes reach it")
                for name, address in hosts.items() if not is_numeric(address_and_port(address)[0]))
    yield from ((path, "has no meaning with engine.kind = \"swarm\"") for path, value in ignored.items() if value)


def of_managers(managers: Collection[str], hosts: Collection[str]) -> Problems:
    """What is wrong with those who are to be managers."""
    for name in managers:
        if name not in hosts:
            yield "engine.managers", f"there is no host {name!r} that runs the app; there are: {', '.join(hosts)}"
    if len({*managers}) % 2 == 0 and managers:
        yield "engine.managers", (f"{len({*managers})} managers survive the loss of no more than"
                                  f" {len({*managers}) - 1}: take an odd number")


def of_replicas(engine: dict[str, Any], known: dict[str, Process]) -> Problems:
    """What is wrong with the numbers of containers."""
    for name, count in engine["replicas"].items():
        if name not in known:
            yield f"engine.replicas.{name}", f"there is no such process; there are {', '.join(known)}"
        elif count > 1 and name == "beat":
            yield "engine.replicas.beat", "only one beat may run"
    for name in known.keys() - BUILT_IN.keys() - engine["replicas"].keys():
        yield f"engine.replicas.{name}", "is needed: how many there are, or 0"
    for name in {"release", "migrate", "proxy", "once"} & known.keys():
        yield f"process.{name}", "the name is used for something else with engine.kind = \"swarm\""
    if not engine["replicas"].get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"
