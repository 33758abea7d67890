"""The directory as it is passed through, with faults, and what is on tape."""

import contextlib
import errno
import os
import random
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from .faults import OPERATIONS, Faults, Verdict, Wrong
from .passthrough import below
from .power import Powered
from .tape import MARK, Change, Tape, here, offline

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
        self.entries, self.held, self.number = deque[dict[str, Any]](maxlen=LOGGED), threading.Lock(), 0

    def add(self, what: str, path: str, **more: Any) -> None:
        with self.held:
            self.number += 1
            self.entries.append({"number": self.number, "time": time.time(), "what": what, "path": path, **more})

    def after(self, number: int) -> list[dict[str, Any]]:
        with self.held:
            return [entry for entry in self.entries if entry["number"] > number]


class Mock(Powered):
    def __init__(self, folder: str, chance: random.Random, tape: str | None = None, on_read: float | None = None,
                 copies: str | None = None) -> None:
        super().__init__(folder, copies)
        self.chance, self.faults, self.log, self.on_read = chance, Faults(chance), Log(), on_read
        self.mounted, self.ending, self.counted = threading.Event(), threading.Event(), Counter[str]()
        self.held, self.handles = threading.Condition(), dict[int, tuple[int, int]]()
        self.tape = Tape(tape, self.log.add, self.held, self.used) if tape else None

    def used(self, found: os.stat_result) -> bool:
        return (found.st_dev, found.st_ino) in self.handles.values()

    def with_tape(self) -> Tape:
        """Raises Wrong where there is none, or no directory yet."""
        if not self.tape or not self.mounted.is_set():
            raise Wrong("there is no tape: --tape FOLDER" if self.mounted.is_set() else "it is not mounted yet")
        return self.tape

    def fetch(self, path: str, delay: float) -> None:
        """Raises Wrong, OSError for what is not on tape."""
        def wait() -> Change:
            self.ending.wait(delay)
            verdict = self.struck("fetch", [path])
            return lambda block: flipped(block, verdict.flip, self.chance)
        self.with_tape().fetch(path, wait)

    def power_cut(self, names: bool) -> None:
        """Only what was synced is left; what was open is good for nothing. Raises Wrong where that is not known, and
        before it is mounted: libfuse goes to / for a moment."""
        if not self.disk:
            raise Wrong("nothing is known of what was synced: --power-cut FOLDER")
        if not self.mounted.is_set():
            raise Wrong("it is not mounted yet")
        with self.held:
            gone = os.open("/", os.O_PATH)
            for handle in self.handles:
                os.dup2(gone, handle, inheritable=False)
            os.close(gone)
            self.disk.cut(names)
        self.log.add("power cut", "/", names=names)

    def there(self, path: str, where: str | int) -> None:
        """Raises OSError for a stub; it is fetched where reading does that."""
        try:
            here(where)
        except OSError:
            if self.on_read is not None and self.tape:
                self.fetch(path, self.on_read)
            raise

    def opened(self, handle: int, flags: int) -> int:
        """Known as open. What is to be written is no longer what its replica is."""
        found = os.fstat(handle)
        self.handles[handle] = found.st_dev, found.st_ino
        if self.tape and flags & os.O_ACCMODE and not offline(handle):
            with contextlib.suppress(OSError):
                os.removexattr(handle, MARK)
        return handle

    def open(self, path: str, flags: int) -> int:
        with self.held:
            if flags & os.O_TRUNC:
                self.there(path, below(path))
            return self.opened(super().open(path, flags), flags)

    def create(self, path: str, mode: int, flags: int) -> int:
        with self.held:
            return self.opened(super().create(path, mode, flags), flags)

    def release(self, path: str, handle: int) -> None:
        with self.held:
            self.handles.pop(handle, None)
            super().release(path, handle)
            self.held.notify_all()

    def truncate(self, path: str, length: int, handle: int | None = None) -> None:
        self.there(path, below(path) if handle is None else handle)
        super().truncate(path, length, handle)

    def fallocate(self, path: str, mode: int, offset: int, size: int, handle: int) -> None:
        self.there(path, handle)
        super().fallocate(path, mode, offset, size, handle)

    def chmod(self, path: str, mode: int) -> None:
        """A stub stays one."""
        super().chmod(path, mode | (stat.S_ISVTX if offline(below(path)) else 0))

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        if name == MARK:
            raise OSError(errno.EPERM, "tapemock's own")
        super().setxattr(path, name, value, flags)

    def removexattr(self, path: str, name: str) -> None:
        if name == MARK:
            raise OSError(errno.EPERM, "tapemock's own")
        super().removexattr(path, name)

    def init(self, path: str) -> None:
        super().init(path)
        self.mounted.set()

    def struck(self, operation: str, paths: list[str], size: int = 0) -> Verdict:
        """What the faults say, once it is waited for. Raises the OSError that they ask for, but a torn write's."""
        self.counted[operation] += 1
        verdict = self.faults.decide(operation, paths, size)
        if verdict.ids:
            failed = errno.errorcode.get(verdict.errno)
            self.log.add(operation, paths[0], faults=verdict.ids, errno=failed, delay=verdict.delay)
        if verdict.delay:
            self.ending.wait(verdict.delay)
        if verdict.errno and verdict.torn is None:
            raise OSError(verdict.errno, os.strerror(verdict.errno))
        return verdict

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        verdict = self.struck("read", [path], size)
        self.there(path, handle)
        return flipped(super().read(path, size, offset, handle), verdict.flip, self.chance)

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        """A torn one leaves its first bytes, and says that all are written where it has no errno."""
        verdict = self.struck("write", [path], len(data))
        self.there(path, handle)
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
