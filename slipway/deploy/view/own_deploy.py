"""A deploy's knowledge of itself, for the page that it opens: more than the hosts tell to others."""

import time
from collections import deque
from typing import Any

from ..screen.display import line
from ..ssh.validate import Event, first_line, visible

SHOWN = 6  # lines
RECENT = 10  # seconds: a page asks each other second


class OwnDeploy:
    """The events of this process's deploy. `asked`: when the page was asked for last, by the monotonic clock. `over`:
    True once the page may tell how it ended; `end_shown`: True once it has."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}  # host → what its step waits for, such as the size that it has pulled
        self.lines = deque[str](maxlen=SHOWN)
        self.result = ""
        self.over = self.end_shown = False
        self.asked = float("-inf")

    def tell(self, event: Event) -> None:
        host = event.get("host", "")
        if event["event"] == "result":
            self.result = visible(str(event.get("text") or event.get("problem", "")))
        elif event["event"] == "waiting" and host:
            self.notes[host] = first_line(str(event.get("text")))
        elif event["event"] == "step":
            self.notes.pop(event["host"], None)
        elif text := line(event):
            self.lines.append(first_line(text))

    def is_watched(self) -> bool:
        return time.monotonic() - self.asked < RECENT

    def shown(self) -> dict[str, Any]:
        """Return what the page shows. Note when, and if that has the end."""
        self.asked = time.monotonic()
        self.end_shown = self.end_shown or self.over
        return {
            "notes": [f"{host}: {note}" for host, note in self.notes.items()],
            "lines": [*self.lines],
            "result": self.result if self.over else "",
        }
