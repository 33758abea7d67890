"""What `promtool test rules` holds Prometheus' rules to: what befalls a fleet, and which alerts `watch` would have
then. Pure.

Only moments are asked for at which nothing changes soon: the two do not round alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from ..config import Fleet
from ..screen.yaml import dump
from . import promql
from .alerts import Alerts, State
from .measures import HERE, Reach, Sample
from .prometheus import MADE, known, labels, summary
from .promql import counted
from .rules import DAY, Rule, size
from .simulated import watch

ANSWERS = 1000  # of a host between two looks
Change = Callable[[Sample, float], Sample | None]  # what becomes of what a host says, so long after the trouble began
Moment = tuple[float, State]
Number = float | None


@dataclass(frozen=True)
class Trouble:
    """What befalls a fleet for some time; all is well before and after. `errors`: the share of answers; `ends`: of the
    certificate, seconds after it began."""

    name: str
    change: Change = lambda sample, since: sample
    unreached: int = 0
    errors: float = 0
    ends: float = 1000 * DAY


@dataclass(frozen=True)
class World:
    """A fleet in trouble from `begin` to `end`, until `until`; all in seconds."""

    fleet: Fleet
    trouble: Trouble

    @property
    def begin(self) -> int:
        return self.looks(self.fleet.watch["over"] + 2 * self.fleet.watch["ttl"])

    @property
    def end(self) -> int:
        return self.begin + self.looks(2 * self.fleet.watch["over"] + self.fleet.watch["heartbeat"])

    @property
    def until(self) -> int:
        return self.end + self.looks(4 * self.fleet.watch["over"] + 4 * self.fleet.watch["ttl"])

    def looks(self, seconds: float) -> int:
        """So many seconds, by whole looks."""
        every: int = self.fleet.watch["every"]
        return -int(-seconds // every) * every

    def says(self, host: str, at: float) -> Sample | None:
        """What a host says."""
        every = self.fleet.watch["every"]
        web = any(one.name == host for one in self.fleet.with_role("web"))
        errors = round(ANSWERS * self.trouble.errors) * max(0, min(at, self.end) - self.begin) / every
        answers = {"2xx": at / every * ANSWERS - errors, "5xx": errors} if web else None
        parts = [part for part in ("worker", "beat") if self.fleet.with_role(part)] if web else []
        sample = Sample(host, at, "", answers, dict.fromkeys(parts, 5.0), 4.0 * size(self.fleet.watch["disk"]))
        return self.trouble.change(sample, at - self.begin) if self.begin <= at < self.end else sample

    def reaches(self, place: str, at: float) -> Reach:
        """What a place says: of those in trouble it is the last ones."""
        silent = self.trouble.unreached and place in (HERE, *self.fleet.watch["probes"])[-self.trouble.unreached:]
        problem = "refused" if silent and self.begin <= at < self.end else ""
        return Reach(place, at, problem, self.begin + self.trouble.ends)


# ---- what may befall a fleet ----

def troubles(fleet: Fleet) -> Iterator[Trouble]:
    """All that its rules speak of."""
    names, watch, least = [host.name for host in counted(fleet)], fleet.watch, {rule.name: rule.limit
                                                                                for rule in known(fleet)}
    yield Trouble("all is well")
    yield Trouble("all hosts killed", lambda sample, since: None)
    yield Trouble("one host gone dark", lambda sample, since: None if sample.host == names[0] else sample)
    enough = next(dark for dark in range(len(names) + 1)
                  if (len(names) - dark) / len(names) < watch["hosts_up"] or dark == len(names))
    for many in {enough - 1, enough} - {0, 1}:
        yield Trouble(f"{many} hosts gone dark", lambda sample, since, gone=names[:many]: (  # type: ignore[misc]
            None if sample.host in gone else sample))
    period = watch["over"] // 2 + watch["ttl"]
    yield Trouble("all hosts flap", lambda sample, since: sample if since % period > period * 2 / 3 else None)
    if fleet.with_role("web"):
        yield Trouble("errors below the limit", errors=watch["errors"] * 0.8)
        yield Trouble("errors above the limit", errors=min(1, watch["errors"] * 1.2))
        yield Trouble("no figures", lambda sample, since: replace(sample, answers=None, ages={}))
    if "worker" in least:
        yield Trouble("nobody can tell of heartbeats", lambda sample, since: replace(sample, ages={}))
    for part in ("worker", "beat"):
        if part in least:
            yield Trouble(f"{part} is silent", lambda sample, since, part=part: replace(  # type: ignore[misc]
                sample, ages={**sample.ages, part: 5.0 + since} if sample.ages else {}))
    if watch["front"]:
        yield Trouble("the front page is not reached", unreached=len(watch["probes"]) + 2 - watch["places"])
    if "certificate" in least:
        yield Trouble("the certificate ends", ends=watch["certificate"] * DAY)
    if "disk" in least:
        yield Trouble("a disk fills", lambda sample, since: (
            replace(sample, free=size(watch["disk"]) / 2) if sample.host == names[-1] else sample))


# ---- as promtool has it ----

def tests_file(fleet: Fleet) -> str:
    """The text of rules.test.yml."""
    return dump({"rule_files": ["rules.yml"], "evaluation_interval": f"{fleet.watch['every']}s",
                 "tests": [test(World(fleet, trouble)) for trouble in troubles(fleet)]}, MADE)


def test(world: World) -> dict[str, Any]:
    """One trouble: the series, and which alerts there are when."""
    fleet = world.fleet
    found: dict[str, list[Moment]] = {rule.name: [] for rule in known(fleet)}

    def note(at: float, alerts: Alerts) -> None:
        for name in found:
            found[name].append((at, alerts.states[name]))
    watch(fleet, counted(fleet), world.says, world.until, world.reaches, note)
    return {"name": world.trouble.name, "interval": f"{fleet.watch['every']}s",
            "input_series": [{"series": name, "values": encoded(values)} for name, values in series(world).items()],
            "alert_rule_test": [check for rule in known(fleet) for check in checks(fleet, rule, found[rule.name])]}


def checks(fleet: Fleet, rule: Rule, moments: list[Moment]) -> Iterator[dict[str, Any]]:
    """What is asked for: near the begin and the end of each time in which a rule stands alike."""
    margin = max(3, fleet.watch["over"] // fleet.watch["every"] // 5)
    for (alert, about), group in groupby(moments, lambda one: (one[1].alert, sorted(one[1].last.about))):
        times = [at for at, _ in group][margin:-margin]
        for at in sorted({*times[:1], *times[-1:]}):
            yield {"eval_time": f"{at}s", "alertname": rule.name,
                   "exp_alerts": [expected(fleet, rule, about)] if alert else []}


def expected(fleet: Fleet, rule: Rule, about: list[str]) -> dict[str, Any]:
    """An alert about these, as Prometheus sends it."""
    named = {f"{'place' if rule.name == 'front' else 'host'}s": "".join(f"{one} " for one in about)}
    return {"exp_labels": labels(fleet, rule), "exp_annotations": {
        "summary": summary(fleet, rule), **(named if promql.about(fleet, rule) else {})}}


def series(world: World) -> dict[str, list[Number]]:
    """Series of Prometheus → its values, look by look."""
    found: dict[str, list[Number]] = {}
    times = range(0, world.until + 1, world.fleet.watch["every"])
    for host in counted(world.fleet):
        samples = [world.says(host.name, at) for at in times]
        job = world.fleet.app if host.has("web") else f"{world.fleet.app}-node"
        own = f'job="{job}",app="{world.fleet.app}",host="{host.name}"'
        found[f'up{{{own},counts="host"}}'] = [float(sample is not None) for sample in samples]
        for status in ("2xx", "5xx") if host.has("web") else ():
            found[f'http_requests_total{{{own},status="{status}"}}'] = [
                sample.answers[status] if sample and sample.answers else None for sample in samples]
        for part in ("worker", "beat") if host.has("web") else ():
            found[f'celery_heartbeat_age_seconds{{{own},part="{part}"}}'] = [
                sample.ages.get(part) if sample else None for sample in samples]
        if world.fleet.watch["node"]:
            found[f'node_filesystem_avail_bytes{{{own},mountpoint="/",fstype="ext4"}}'] = [
                sample.free if sample else None for sample in samples]
    return {name: values for name, values in (found | of_front(world, times)).items() if any(
        value is not None for value in values)}


def of_front(world: World, times: range) -> dict[str, list[Number]]:
    """The same of the places from which the front page is asked for."""
    watch = world.fleet.watch
    found: dict[str, list[Number]] = {}
    for place in (HERE, *watch["probes"]) if watch["front"] else ():
        own = f'{{app="{world.fleet.app}",place="{place}"}}'
        said = [world.reaches(place, at) for at in times]
        found[f"up{own}"] = [1.0 for _ in said]
        found[f"probe_success{own}"] = [float(not one.problem) for one in said]
        found[f"probe_ssl_earliest_cert_expiry{own}"] = [None if one.problem else one.ends for one in said]
    return found


def encoded(values: list[Number]) -> str:
    """Values as promtool reads them: `_xN`: N times none; `A+BxN`: A, and N more, each by B greater."""
    words, rest = [], values
    while rest:
        first, by = rest[0], (rest[1] or 0) - (rest[0] or 0) if len(rest) > 1 else 0
        many = 1
        while many < len(rest) and (rest[many] is None) == (first is None) and (
                first is None or rest[many] == first + many * by):
            many += 1
        words.append(f"_x{many}" if first is None else f"{first:.10g}{by:+.10g}x{many - 1}" if many > 1
                     else f"{first:.10g}")
        rest = rest[many:]
    return " ".join(words)
