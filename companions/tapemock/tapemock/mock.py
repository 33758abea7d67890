"""The directory as it is passed through, with faults, and what is on tape."""

import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from errno import errorcode
from functools import wraps
from typing import Any

from .faults import OPERATIONS, Faults, Verdict
from .passthrough import PassThrough

LOGGED = 10_000


def flipped(data: bytes, bits: int, chance: random.Random) -> bytes:
    """The data with so many of its bits, which may be the same one twice, turned over."""
    changed = bytearray(data)
    for _ in range(bits if data else 0):
        bit = chance.randrange(len(changed) * 8)
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Log:
    """What happened that would not happen on a good disk: the last of it."""

    def __init__(self) -> None:
        self.entries, self.lock, self.number = deque[dict[str, Any]](maxlen=LOGGED), threading.Lock(), 0

    def add(self, what: str, path: str, **more: Any) -> None:
        with self.lock:
            self.number += 1
            self.entries.append({"number": self.number, "time": time.time(), "what": what, "path": path, **more})

    def after(self, number: int) -> list[dict[str, Any]]:
        with self.lock:
            return [entry for entry in self.entries if entry["number"] > number]


class Mock(PassThrough):
    def __init__(self, folder: str, chance: random.Random) -> None:
        super().__init__(folder)
        self.chance, self.faults, self.log = chance, Faults(chance), Log()
        self.mounted, self.ending, self.counted = threading.Event(), threading.Event(), Counter[str]()

    def init(self, path: str) -> None:
        super().init(path)
        self.mounted.set()

    def struck(self, operation: str, paths: list[str], size: int = 0) -> Verdict:
        """What the faults say, once it is waited for. Raises the OSError that they ask for, but a torn write's."""
        self.counted[operation] += 1
        verdict = self.faults.decide(operation, paths, size)
        if verdict.ids:
            failed = errorcode.get(verdict.errno)
            self.log.add(operation, paths[0], faults=verdict.ids, errno=failed, delay=verdict.delay)
        if verdict.delay:
            self.ending.wait(verdict.delay)
        if verdict.errno and verdict.torn is None:
            raise OSError(verdict.errno, os.strerror(verdict.errno))
        return verdict

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        verdict = self.struck("read", [path], size)
        return flipped(super().read(path, size, offset, handle), verdict.flip, self.chance)

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        """A torn one leaves its first bytes, and says that all are written where it has no errno."""
        verdict = self.struck("write", [path], len(data))
        data = flipped(data[:verdict.room], verdict.flip, self.chance)
        if verdict.torn is None:
            return super().write(path, data, offset, handle)
        super().write(path, data[:verdict.torn], offset, handle)
        if verdict.errno:
            raise OSError(verdict.errno, os.strerror(verdict.errno))
        return len(data)


def fails(name: str, passed: Callable[..., Any]) -> Callable[..., Any]:
    """The operation, as the faults let it. Only rename and link have a second path."""
    @wraps(passed)
    def operation(self: Mock, path: str | None, *more: Any) -> Any:
        paths = [path or "", more[0]] if name in ("rename", "link") else [path or ""]
        self.struck(name, paths)
        return passed(self, path, *more)
    return operation


for name in OPERATIONS - {"read", "write", "fetch"}:
    setattr(Mock, name, fails(name, getattr(Mock, name)))
