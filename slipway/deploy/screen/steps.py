"""Shows a step of a rollout as one line: its hosts, its seconds, what it waits for. Does no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..ssh.validate import Event, first_line

MARKS = {"start": "…", "done": "✓", "failed": "✗", "stopped": "–"}
PATIENCE = 5  # seconds after which a line shows what the step waits for


@dataclass
class Row:
    """A line of the display: a step and its state on each host."""

    step: str
    states: dict[str, str]  # host → "start", "done", "failed" or "stopped"
    limit: float  # seconds that the step may take; 0: unknown
    began: float  # the time when the step began
    notes: dict[str, str] = field(default_factory=dict)  # host → what it waits for
    took: float = 0
    printed: float = 0  # the time of its last line in a log
    roles: list[str] = field(default_factory=list)  # the roles that the step starts

    def add_event(self, event: Event) -> None:
        host = event["host"]
        if event["event"] == "waiting":
            self.notes[host] = first_line(str(event.get("text")))
            return
        self.states[host] = event["state"]
        self.took = max(self.took, event.get("seconds", 0))

    def is_over(self) -> bool:
        return "start" not in self.states.values()

    def hosts_in_state(self, state: str) -> list[str]:
        return [host for host, its in self.states.items() if its == state]

    def draw(self, now: float, width: int = 10_000) -> str:
        seconds = self.took if self.is_over() else now - self.began
        label = " ".join([self.step, "+".join(self.roles)])
        begin = f"{label:13}{seconds:6.1f} s  "
        marks = "  ".join(f"{MARKS[state]} {host}" for host, state in self.states.items())
        if len(begin) + len(marks) > width * 0.7:
            marks = ", ".join(self.counts())
        note = "" if self.is_over() or seconds < PATIENCE else f"   {self.waits_for(seconds)}"
        return (begin + marks + note)[: width - 1]

    def counts(self) -> Iterator[str]:
        done = len(self.hosts_in_state("done"))
        hosts = len(self.states)
        yield f"{'✓' if done == hosts else '…'} {done} of {hosts}"
        if failed := self.hosts_in_state("failed"):
            yield f"✗ {' '.join(failed)}"

    def waits_for(self, seconds: float) -> str:
        """Return what a host waits for, if reported, else the name of a host that is not done."""
        waiting = self.hosts_in_state("start")
        noted = [f"{host}: {self.notes[host]}" for host in waiting if host in self.notes]
        others = f" (+{len(waiting) - 1})" if len(waiting) > 1 else ""
        limit = f", {seconds:.0f} of {self.limit:.0f} s" if self.limit else ""
        return f"{noted[0] if noted else f'waits for {waiting[0]}'}{others}{limit}"
