"""A fleet that is watched by a clock of its own: for the tests of Prometheus' rules, and of ours. Pure."""

from collections.abc import Callable

from ..decide.config import Fleet
from .alerts import Alert, Alerts
from .measures import Memory, Reach, Reading, Sample, look
from .rules import rules

HERE = "here"
Says = Callable[[str, float], Sample | None]  # host, time → its sample, None: silence
Reaches = Callable[[str, float], Reach | None]  # place, time → the same of a place
Tell = Callable[[float, dict[str, Reading], Alerts], None]


def memory_of(fleet: Fleet, now: float) -> Memory:
    """What a watcher knows as it begins."""
    watch = fleet.watch
    places = (HERE, *watch["probes"]) if watch["front"] else ()
    return Memory({host.name: host.has("web") for host in fleet.app_hosts}, places, watch["over"], watch["ttl"], now)


def watch(fleet: Fleet, says: Says, until: float, reaches: Reaches = lambda place, at: None,
          tell: Tell = lambda at, readings, alerts: None) -> list[Alert]:
    """What is told from 0 to `until`, if hosts and places say that. `tell` hears how all rules stand at each look."""
    settings, all_rules = fleet.watch, rules(fleet)
    memory, alerts = memory_of(fleet, 0), Alerts(all_rules, settings["ttl"], settings["over"])
    told: list[Alert] = []
    for at in range(0, int(until) + 1, settings["every"]):
        for sample in filter(None, (says(host, at) for host in memory.hosts)):
            memory.hear(sample)
        for reach in filter(None, (reaches(place, at) for place in memory.places)):
            memory.reach(reach)
        readings = look(memory, all_rules, at)
        told += alerts.look(readings, at)
        tell(at, readings, alerts)
    return told
