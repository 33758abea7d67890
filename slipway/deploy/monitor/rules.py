"""The rules, as data: the one description for `watch` and for Prometheus. Pure.

measures.py and prometheus.py say how each is measured, by its name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Fleet, Host

SIZES = {"k": 2**10, "m": 2**20, "g": 2**30}
LEAST = 20  # answers that tell a share of errors
DAY = 86_400


@dataclass(frozen=True)
class Rule:
    """`what` follows its value in a text. `least`: whether the limit is the least that is well, else it is too much.
    `unit`: share, seconds, days, bytes, or nothing."""

    name: str
    limit: float
    what: str
    least: bool = True
    unit: str = ""
    severity: str = "critical"

    def broken(self, value: float | None) -> bool:
        """Whether a value breaks it. What nobody can tell does not."""
        return value is not None and (value < self.limit if self.least else value >= self.limit)

    def words(self, value: float | None) -> str:
        """A value in words; "-": nobody can tell."""
        if value is None:
            return "-"
        return (f"no heartbeat of {self.name} is known" if math.isinf(value)
                else f"{shown(value, self.unit)} {self.what}")

    def says(self, value: float | None) -> str:
        """The same, and the limit."""
        return "-" if value is None else f"{self.words(value)}, the limit is {self.bound}"

    @property
    def bound(self) -> str:
        """The limit in words."""
        return shown(self.limit, self.unit)

    @property
    def breach(self) -> str:
        """What it means that it is broken, without a value."""
        return f"{'less than' if self.least else 'at least'} {self.bound} {self.what}"


def shown(value: float, unit: str) -> str:
    """A value as people read it."""
    return {"share": f"{value:.1%}".replace(".0%", "%").replace("%", " %"), "seconds": f"{value:.0f} s",
            "days": f"{value:.0f} days", "bytes": f"{value / SIZES['g']:.1f} GB".replace(".0 ", " ")
            }.get(unit, f"{value:.0f}")


def size(text: str) -> int:
    """Bytes of a size such as 2g."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)


def rules(fleet: Fleet, hosts: Sequence[Host]) -> tuple[Rule, ...]:
    """The rules that hold for a fleet, of which these hosts count: those rules that have what they need, and that the
    file does not leave out."""
    watch = fleet.watch
    over = f"over {watch['over']} s"
    found = [Rule("hosts_up", watch["hosts_up"], f"of {len(hosts)} hosts up {over}", unit="share")]
    if fleet.with_role("web"):
        found.append(Rule("errors", watch["errors"], f"of answers are 5xx {over}", least=False, unit="share"))
        web = len([host for host in hosts if host.has("web")])
        found.append(Rule("figures", 1, f"of {web} web hosts tell their figures"))
        found += [Rule(role, watch["heartbeat"], f"since {role}'s last heartbeat", least=False, unit="seconds")
                  for role in ("worker", "beat") if fleet.with_role(role)]
    found += of_front(fleet)
    found.append(Rule("disk", size(watch["disk"]), "of disk free", unit="bytes", severity="warning"))
    return tuple(rule for rule in found if rule.name not in watch["without"])


def of_front(fleet: Fleet) -> list[Rule]:
    """The rules of the front page, where the file names it."""
    watch, front = fleet.watch, fleet.watch["front"]
    places = len(watch["probes"]) + 1
    found = [Rule("front", watch["places"], f"of {places} places reach {front}")] if front else []
    if front.startswith("https:"):
        found.append(Rule("certificate", watch["certificate"], f"until the certificate of {front} ends", unit="days",
                          severity="warning"))
    return found
