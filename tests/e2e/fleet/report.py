"""The outcome of a load's requests: records, and their sums. This module does no I/O."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One request. Times are seconds since the load's start; `release` answered it; `cause` is its failure."""

    target: str
    method: str
    started: float  # the time of its connect
    ended: float
    release: str | None = None
    cause: str | None = None  # refused, reset, empty, cut short, timeout, http 500, …; None: no failure

    @property
    def seconds(self):
        return self.ended - self.started


@dataclass(frozen=True)
class Result:
    """All requests of one load in the order of their planned times, and the wall clock time of its start."""

    records: list
    began: float

    @property
    def failures(self):
        return [record for record in self.records if record.cause]

    @property
    def causes(self):
        """Return the number of failures by cause."""
        return Counter(record.cause for record in self.failures)

    @property
    def releases(self):
        """Return the number of answers by release."""
        return Counter(record.release for record in self.records if record.release)

    def of(self, target):
        """Return the Result with only this target's requests."""
        return Result([record for record in self.records if record.target == target], self.began)

    def first(self, release):
        """Return the seconds from the start to the first answer of `release`, or None."""
        return min((record.ended for record in self.records if record.release == release), default=None)

    def late(self, old, new):
        """Return the requests answered by `old` although sent after the first answer of `new` from their target."""
        targets = {record.target for record in self.records}
        first = {target: self.of(target).first(new) for target in targets}
        return [
            record
            for record in self.records
            if record.release == old and first[record.target] is not None and record.started > first[record.target]
        ]

    def summary(self, most=20):
        """Return the figures, and the first failures, one a line."""
        lines = [f"{len(self.records)} requests, failed: {dict(self.causes)}; answered: {dict(self.releases)}"]
        lines += [
            f"  at {record.started:.3f} s after {record.seconds:.3f} s: {record.method} {record.target}: {record.cause}"
            for record in self.failures[:most]
        ]
        return "\n".join(lines)

    def as_json(self):
        return json.dumps({"began": self.began, "records": [dataclasses.astuple(record) for record in self.records]})


def from_json(text):
    """Return the Result that `as_json` wrote."""
    read = json.loads(text)
    return Result([Record(*fields) for fields in read["records"]], read["began"])
