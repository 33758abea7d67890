"""What is wrong between [engine] and the rest of the file, each being well formed. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..agent.roles import BUILT_IN, Process
from .checks import Problems

KEYS = {f"{name}{file}" for name in ("STATIC_STORAGE_URL", "STORAGE_URL") for file in ("", "_FILE")}  # of a bucket
OURS = ("PORT", "SOCKET", "READY_FILE", "ROLE")  # what the manifests set by themselves


def problems(engine: dict[str, Any], processes: Iterable[Process], hosts: Collection[object], media: str,
             ignored: Mapping[str, object]) -> Problems:
    """All of it. `hosts`: the servers of the file; `ignored`: path → value of keys that servers alone go by."""
    if engine["kind"] == "hosts":
        yield from ((f"engine.{key}", "counts only with another engine.kind than \"hosts\"")
                    for key, value in engine.items() if key != "kind" and value and key != "cpu")
        return
    known = {process.name: process for process in processes}
    yield from of_replicas(engine, known)
    if hosts:
        yield "hosts", f"has no meaning with engine.kind = \"{engine['kind']}\", which chooses where things run"
    if media == "local":
        yield "media", "\"local\" files would differ between containers; use \"database\" or \"bucket\""
    yield from ((path, f"has no meaning with engine.kind = \"{engine['kind']}\"") for path, value in ignored.items()
                if value)
    if not engine["settings"]:
        yield "engine.settings", "is needed: [\"SITE_URL\", \"SECRET_KEY\", \"DATABASE_URL\"] and what else is set"
    yield from (("engine.settings", f"{name} is not for you to set") for name in engine["settings"] if name in OURS)


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
    for name in {"release", "migrate"} & known.keys():
        yield f"process.{name}", f"the name is used for something else with engine.kind = \"{engine['kind']}\""
    if not engine["replicas"].get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"


def static_problems(engine: dict[str, Any], static: dict[str, Any]) -> Problems:
    """What is wrong with [static]: on servers of ours the settings are there, elsewhere they have to be named."""
    if static["publish"] and engine["kind"] != "hosts" and not KEYS.intersection(engine["settings"]):
        yield "engine.settings", "static.publish needs STATIC_STORAGE_URL, or a STORAGE_URL that is a bucket's"
