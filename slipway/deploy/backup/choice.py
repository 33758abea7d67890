"""What a restore brings back, and the room that it needs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from . import postgres, shell
from .branches import BYTES, Backup, Target
from .settings import Settings
from .shell import Problem, megabytes

MEMORY = 512 << 20  # bytes of the second container
WAITING = 512 << 20  # bytes of WAL that a recovery keeps on its disk, at most


@dataclass(frozen=True)
class Choice:
    """What a restore brings back. `end`: the last segment that the archive has on this way, for a target that is all
    there is. `wal`: the bytes of the `segments` on the way, in the archive. `known`: the volume of a dead database,
    which may have more."""

    base: Backup
    target: Target
    end: int
    wal: int
    segments: int
    known: str = ""

    def options(self) -> list[str]:
        """Return the words of `pgbackrest restore`. LSN: without what begins there, which is later than the point."""
        words = [f"--set={self.base.label}", f"--target-timeline={self.target.timeline}", "--archive-mode=off"]
        if self.target.lsn is not None:
            return [*words, "--type=lsn", f"--target={postgres.text(self.target.lsn)}", "--target-exclusive"]
        if self.target.at is not None:
            return [*words, "--type=time", f"--target={utc(self.target.at)}"]
        return [*words, "--type=standby"]

    @property
    def bytes(self) -> int:
        """The disk's bytes that a restore of this may need: the files, what the WAL adds, and some WAL itself."""
        return int(self.base.bytes * 1.05) + 4 * self.wal + min(self.segments * BYTES, WAITING) + (64 << 20)


def utc(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) + f"{at % 1:.6f}"[1:] + "+00"


def check_room(settings: Settings, choice: Choice) -> None:
    """Raise Problem if disk or memory do not suffice for a second database beside the living one."""
    path, problems = postgres.docker_root(), []
    if (free := shell.disk(path).free) < choice.bytes:
        problems.append(f"{path} has {megabytes(free)} free, a restore needs {megabytes(choice.bytes)}")
    available = memory_available(settings)
    if available < MEMORY:
        problems.append(f"{megabytes(available)} of memory are available, a restore needs {megabytes(MEMORY)}")
    if problems:
        raise Problem("; ".join(problems))


def memory_available(settings: Settings) -> int:
    """Return bytes."""
    with open(f"{settings.root}/proc/meminfo", encoding="ascii") as file:
        match = re.search(r"^MemAvailable:\s+(\d+) kB", file.read(), re.MULTILINE)
    return int(match[1]) << 10 if match else 0
