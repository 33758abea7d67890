"""A fleet that is watched by a clock of its own: for the tests of Prometheus' rules, and of ours. Pure."""

from collections.abc import Callable, Sequence

from ..config import Fleet, Host
from .alerts import Alert, Alerts
from .measures import Reach, Sample, look, memory_of

Says = Callable[[str, float], Sample | None]  # host, time → its sample, None: silence
Reaches = Callable[[str, float], Reach | None]  # place, time → the same of a place
Tell = Callable[[float, Alerts], None]


def watch(fleet: Fleet, hosts: Sequence[Host], says: Says, until: float,
          reaches: Reaches = lambda place, at: None, tell: Tell = lambda at, alerts: None) -> list[Alert]:
    """What is told from 0 to `until`, if these hosts and places say that. `tell` hears how all rules stand at each
    look."""
    memory, alerts = memory_of(fleet, hosts, 0), Alerts.of(fleet, hosts)
    told: list[Alert] = []
    for at in range(0, int(until) + 1, fleet.watch["every"]):
        for sample in filter(None, (says(host, at) for host in memory.hosts)):
            memory.hear(sample)
        for reach in filter(None, (reaches(place, at) for place in memory.places)):
            memory.reach(reach)
        told += alerts.look(look(memory, alerts.rules, at), at)
        tell(at, alerts)
    return told
