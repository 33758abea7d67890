"""Tells the deployer how far a slow step is."""

from __future__ import annotations

import contextlib
import json
import time

from .message_types import Say

EVERY = 5  # seconds between two events, at least


class Progress:
    """Tells the deployer what a step waits for, but not too often."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.reported = time.monotonic()

    def tell(self, text: str) -> None:
        if time.monotonic() - self.reported >= EVERY:
            self.reported = time.monotonic()
            self.say({"event": "waiting", "text": text})


class Pulled(Progress):
    """Reads Docker's answer to a pull, and reports how many megabytes of the image have arrived."""

    def __init__(self, say: Say) -> None:
        super().__init__(say)
        self.rest = b""
        self.layers: dict[str, tuple[int, int]] = {}  # layer's id → (bytes that have arrived, all bytes)

    def feed(self, piece: bytes) -> None:
        """Read the next piece of Docker's answer, which has one JSON object per line."""
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the line is not JSON, or not about a layer
                self.note(json.loads(line))
        if self.layers:
            loaded, whole = (sum(layer[index] for layer in self.layers.values()) / 1e6 for index in (0, 1))
            self.tell(f"{loaded:.0f} of {whole:.0f} MB" if loaded < whole else f"unpacks {whole:.0f} MB")

    def note(self, message: dict[str, object]) -> None:
        name = str(message["id"])
        detail = message.get("progressDetail")
        if message["status"] == "Downloading" and isinstance(detail, dict):
            self.layers[name] = int(detail["current"]), int(detail["total"])
        elif message["status"] in ("Download complete", "Pull complete"):
            whole = self.layers[name][1]
            self.layers[name] = whole, whole
