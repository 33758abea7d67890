"""What is wrong between [engine] and the rest of the file, each being well formed. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..agent.roles import BUILT_IN, Process
from .checks import Problems, address_and_port, is_numeric

SWARM = ("kind", "replicas", "managers", "proxy")  # what counts there
KEYS = {f"{name}{file}" for name in ("STATIC_STORAGE_URL", "STORAGE_URL") for file in ("", "_FILE")}  # of a bucket
OURS = ("PORT", "SOCKET", "READY_FILE", "ROLE", "SETTINGS_FILE", "DRAIN")  # what the manifests set by themselves
ROUTED = 16  # names that an HTTPRoute may have


def problems(engine: dict[str, Any], processes: Iterable[Process], hosts: Mapping[str, str], media: str,
             names: Collection[str], ignored: Mapping[str, object]) -> Problems:
    """All of it. `hosts`: name → internal address of those that run the app; `names`: the site's; `ignored`: path →
    value of keys that servers alone go by."""
    kind = engine["kind"]
    if kind == "hosts":
        yield from ((f"engine.{key}", "counts only with another engine.kind than \"hosts\"")
                    for key, value in engine.items() if key not in ("kind", "cpu", "proxy") and value)
        return
    yield from of_replicas(engine, {process.name: process for process in processes})
    yield from of_gateway(engine, names)
    if media == "local":
        yield "media", "\"local\" files would differ between containers; use \"database\" or \"bucket\""
    if kind == "swarm":
        ignored = {path: value for path, value in ignored.items()
                   if path == "registry" or path.endswith("opts")}
        ignored |= {f"engine.{key}": value for key, value in engine.items() if key not in (*SWARM, "cpu")}
        yield from of_managers(engine["managers"], hosts)
        yield from ((f"process.{process.name}.ports", f"{port!r}: Swarm publishes a port at all addresses, not at one")
                    for process in processes for port in process.ports if port.count(":") > 1)
        yield from ((f"hosts.{name}.internal", "is needed: the numeric address at which the swarm's nodes reach it")
                    for name, address in hosts.items() if not is_numeric(address_and_port(address)[0]))
    elif hosts or engine["managers"]:
        ignored = {**ignored, "hosts": hosts, "engine.managers": engine["managers"]}
    yield from ((path, f"has no meaning with engine.kind = \"{kind}\"") for path, value in ignored.items() if value)
    if kind != "swarm" and not engine["settings"]:
        yield "engine.settings", "is needed: [\"SITE_URL\", \"SECRET_KEY\", \"DATABASE_URL\"] and what else is set"
    yield from (("engine.settings", f"{name} is not for you to set") for name in engine["settings"] if name in OURS)


def of_managers(managers: Collection[str], hosts: Collection[str]) -> Problems:
    """What is wrong with those who are to be managers."""
    for name in managers:
        if name not in hosts:
            yield "engine.managers", f"there is no host {name!r} that runs the app; there are: {', '.join(hosts)}"
    if len({*managers}) % 2 == 0 and managers:
        yield "engine.managers", (f"{len({*managers})} managers survive the loss of no more than"
                                  f" {len({*managers}) - 1}: take an odd number")


def of_gateway(engine: dict[str, Any], names: Collection[str]) -> Problems:
    """What is wrong with the way of visitors by a Gateway."""
    if engine["gateway"]:
        yield from ((f"engine.{key}", "is of an Ingress, and engine.gateway takes its place: leave one out")
                    for key in ("ingress", "tls") if engine[key])
        if len(names) > ROUTED:
            yield "site.names", f"a Gateway's route has {ROUTED} at most"


def of_replicas(engine: dict[str, Any], known: dict[str, Process]) -> Problems:
    """What is wrong with the numbers of containers."""
    for key in ("replicas", "most"):
        for name, count in engine[key].items():
            if name not in known:
                yield f"engine.{key}.{name}", f"there is no such process; there are {', '.join(known)}"
            elif count > 1 and name == "beat":
                yield f"engine.{key}.beat", "only one beat may run"
            elif key == "most" and not known[name].overlap:
                yield f"engine.most.{name}", "only processes that may run beside each other grow with load"
    for name in known.keys() - BUILT_IN.keys() - engine["replicas"].keys():
        yield f"engine.replicas.{name}", "is needed: how many there are, or 0"
    for name in {"release", "migrate", "proxy", "once"} & known.keys():
        yield f"process.{name}", f"the name is used for something else with engine.kind = \"{engine['kind']}\""
    if not engine["replicas"].get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"


def static_problems(engine: dict[str, Any], static: dict[str, Any]) -> Problems:
    """What is wrong with [static]: on servers of ours the settings are there, elsewhere they have to be named."""
    if static["publish"] and engine["kind"] not in ("hosts", "swarm") and not KEYS.intersection(engine["settings"]):
        yield "engine.settings", "static.publish needs STATIC_STORAGE_URL, or a STORAGE_URL that is a bucket's"
