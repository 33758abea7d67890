"""What is wrong between [engine] and the rest of the file, each being well formed. Pure."""

from collections.abc import Collection, Iterable
from typing import Any

from ..agent.roles import Process
from .checks import Problems


def problems(engine: dict[str, Any], processes: Iterable[Process], hosts: Collection[object], media: str,
             registry: str) -> Problems:
    """All of it. `hosts`: the servers of the file."""
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
    if registry == "ssh":
        yield "registry", "\"ssh\" needs hosts of our own; the cluster pulls from a registry"


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
    if not engine["replicas"].get("web"):
        yield "engine.replicas.web", "is needed: how many containers answer visitors"
