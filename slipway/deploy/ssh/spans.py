"""When what a command did began and ended: Connections notes it, show/waterfall.py draws it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """A step on a host, or on this machine where `host` is empty; seconds since the command began."""

    step: str
    host: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass
class Spans:
    """Those of a command so far, in the order they ended."""

    # Until it has read its modules and configuration a command does nothing but compute.
    loaded: float = field(default_factory=time.process_time)
    began: float = field(default_factory=lambda: time.monotonic() - time.process_time())
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spans.append(Span("load", "", 0, self.loaded))

    @contextlib.contextmanager
    def span(self, step: str, host: str) -> Iterator[None]:
        """Note what is done while the block runs, however it ends."""
        began = time.monotonic() - self.began
        try:
            yield
        finally:
            self.spans.append(Span(step, host, began, time.monotonic() - self.began))
