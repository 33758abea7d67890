"""Watches a deployer from outside: what it and the programs that it has started hold, and what it tells."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

EVERY = 0.05  # seconds between two looks
Event = dict[str, Any]


@dataclass
class Seen:
    """The most that was seen of a deploy: `files` and `programs` of the deployer, its `memory` in MB."""

    files: int = 0
    programs: int = 0
    memory: float = 0
    seconds: float = 0
    cpu: float = 0  # of the deployer itself
    theirs: float = 0  # of the programs that it has started
    code: int | None = None
    said: str = ""
    events: list[Event] = field(default_factory=list)

    def look(self, pid: int) -> None:
        """Look once. Raises OSError where it has ended."""
        process = Path(f"/proc/{pid}")
        self.files = max(self.files, len(os.listdir(process / "fd")))
        self.programs = max(self.programs, len((process / f"task/{pid}/children").read_text().split()))
        status = (process / "status").read_text()
        self.memory = max(self.memory, int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        numbers = (process / "stat").read_text().rpartition(")")[2].split()
        self.cpu = sum(map(int, numbers[11:13])) / os.sysconf("SC_CLK_TCK")

    def span(self, step: str) -> float:
        """Seconds from a step's first start to its last end."""
        times = [event["at"] for event in self.events if event.get("step") == step]
        return max(times) - min(times)

    def takeback(self) -> float:
        """Seconds from the word that all go back to the result."""
        began = next(event["at"] for event in self.events if event["event"] == "takeback")
        return float(self.events[-1]["at"] - began)


def watched(config: Path, env: dict[str, str], checkout: Path) -> Seen:
    """A deploy, from its start to its end."""
    seen, command = Seen(), [sys.executable, "-m", "slipway.deploy", "--config", str(config), "deploy", "v2", "--json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=checkout, env=env, stdout=out, stderr=error)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            try:
                seen.look(process.pid)
            except (OSError, IndexError):  # it has just ended
                pass
            time.sleep(EVERY)
        seen.seconds = time.monotonic() - began
        process.returncode = seen.code = os.waitstatus_to_exitcode(ended[1])
        seen.theirs = ended[2].ru_utime + ended[2].ru_stime - seen.cpu
        seen.events, seen.said = [json.loads(line) for line in text(out).splitlines()], text(error)
    return seen


def text(file: IO[bytes]) -> str:
    """What was written into a file."""
    file.seek(0)
    return file.read().decode()
