"""What became of the requests of a load: records, and what they add up to. Pure."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One request. Times are seconds since the load's start; `release` is who answered, `cause` why it failed."""

    number: int
    target: str
    method: str
    due: float  # when it should have gone out
    started: float  # when it began to connect
    ended: float
    status: int | None = None
    release: str | None = None
    cause: str | None = None  # refused, reset, empty, cut short, timeout, http 500, …; None: all went well

    @property
    def seconds(self):
        return self.ended - self.started


@dataclass(frozen=True)
class Result:
    """All requests of one load, in the order they were due, and the wall clock time of its start."""

    records: list
    began: float

    @property
    def failures(self):
        return [record for record in self.records if record.cause]

    @property
    def causes(self):
        """How often each cause of failure came up."""
        return Counter(record.cause for record in self.failures)

    @property
    def releases(self):
        """How many answers each release gave."""
        return Counter(record.release for record in self.records if record.release)

    def of(self, target):
        """The same of one target alone."""
        return Result([record for record in self.records if record.target == target], self.began)

    def first(self, release):
        """When, in seconds since the start, `release` was first heard; None if never."""
        return min((record.ended for record in self.records if record.release == release), default=None)

    def late(self, old, new):
        """Requests begun after the first answer of `new` from their target that `old` answered all the same."""
        targets = {record.target for record in self.records}
        first = {target: self.of(target).first(new) for target in targets}
        return [record for record in self.records if record.release == old
                and first[record.target] is not None and record.started > first[record.target]]

    def summary(self, most=20):
        """The figures, and the first failures each on a line of its own."""
        lines = [f"{len(self.records)} requests, failed: {dict(self.causes)}; answered: {dict(self.releases)}"]
        lines += [f"  at {record.started:.3f} s after {record.seconds:.3f} s: {record.method} {record.target}: "
                  f"{record.cause}" for record in self.failures[:most]]
        return "\n".join(lines)

    def as_json(self):
        return json.dumps({"began": self.began, "records": [dataclasses.astuple(record) for record in self.records]})


def from_json(text):
    """The Result that `as_json` wrote."""
    read = json.loads(text)
    return Result([Record(*fields) for fields in read["records"]], read["began"])
