"""A mock tape archive. Closing a written file can move its content to tape. Until it is fetched back, reading fails."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
import time
import uuid
from argparse import Namespace
from collections import Counter
from collections.abc import Callable

from .faults import Fault
from .power import HIDDEN, identity

MARK = "user.tapemock"  # extended attribute of a file on tape: its content's name in the folder of --tape


def writes(handle: int) -> bool:
    return bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)


class Tape:
    """Archives each file below any folder named final after a writer closes it."""

    def __init__(
        self,
        root: str,
        given: Namespace,
        changing: threading.RLock,
        note: Callable[..., None],
        struck: Callable[[str], Fault | None],
    ) -> None:
        self.root, self.given, self.changing, self.note, self.struck = root, given, changing, note, struck
        self.folder, self.opens = f"{given.tape}/", Counter[tuple[int, int]]()
        self.lock, self.fetching = threading.Lock(), set[tuple[int, int]]()
        os.listdir(self.folder)

    def stub(self, where: str | int) -> str:
        """Return the name of the file's content on tape, or "" if the file is not on tape."""
        with contextlib.suppress(OSError):
            return os.getxattr(where, MARK).decode()
        return ""

    def opened(self, handle: int) -> None:
        """Note who opens a file for writing: what an earlier close has planned does not happen."""
        if writes(handle):
            self.opens[identity(os.fstat(handle))] += 1

    def closed(self, path: str, handle: int) -> None:
        """Archive a file below `final` that was open for writing. Only one writer at a time is supported."""
        if "/final/" not in path or HIDDEN in path or not writes(handle) or self.stub(handle):
            return
        try:
            self.copy(path, handle)
            if self.given.archive_delay:
                planned = path, os.dup(handle), self.opens[identity(os.fstat(handle))]
                threading.Timer(self.given.archive_delay, self.archive_later, planned).start()
            else:
                self.archive(path, handle)
        except OSError as error:
            self.note("not archived", path, error=str(error))

    def copy(self, path: str, handle: int) -> None:
        if self.given.replica:
            os.makedirs(os.path.dirname(self.given.replica + path), exist_ok=True)
            shutil.copyfile(f"/proc/self/fd/{handle}", self.given.replica + path)

    def archive_later(self, path: str, handle: int, opens: int) -> None:
        """Archive a file, unless it was removed, or opened for writing, after it was closed."""
        try:
            with self.changing:
                status = os.fstat(handle)
                if status.st_nlink and self.opens[identity(status)] == opens:
                    self.archive(path, handle)
        except OSError as error:
            self.note("not archived", path, error=str(error))
        finally:
            os.close(handle)

    def archive(self, path: str, handle: int) -> None:
        status, name = os.fstat(handle), uuid.uuid4().hex
        shutil.copyfile(f"/proc/self/fd/{handle}", self.folder + name)
        os.setxattr(handle, MARK, name.encode())
        os.truncate(handle, 0)
        os.chmod(handle, stat.S_IMODE(status.st_mode) | stat.S_ISVTX)  # by this bit, programs see what is on tape
        os.utime(handle, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.note("archived", path)

    def recall(self, path: str) -> None:
        """If a program opens a file on tape, start to fetch it, and raise OSError."""
        if not self.given.no_recall and self.stub(self.root + path):
            with contextlib.suppress(ValueError):  # it has just come back
                self.fetch(path, 0)
            raise OSError(errno.EIO, "on tape")

    def descriptor(self, path: str) -> int:
        return os.open(self.root + os.path.normpath("/" + path), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)

    def fetch(self, path: str, delay: float) -> None:
        """Fetch a file from tape in a thread, after `delay` seconds. Raise ValueError if the file is not on tape."""
        handle = self.descriptor(path)
        which, name = identity(os.fstat(handle)), self.stub(handle)
        with self.lock:
            if name and which not in self.fetching:
                self.fetching.add(which)
                threading.Thread(target=self.come, args=(path, handle, name, delay), daemon=True).start()
                return
        os.close(handle)
        if not name:
            raise ValueError(f"{path} is not on tape")

    def come(self, path: str, handle: int, name: str, delay: float) -> None:
        status = os.fstat(handle)
        try:
            time.sleep(delay)
            fault = self.struck(path)
            with open(self.folder + name, "rb") as source, os.fdopen(os.dup(handle), "wb") as file:
                shutil.copyfileobj(source, file)
                if fault and fault.torn is not None:
                    file.truncate(min(fault.torn, file.tell()))
            if fault and fault.errno:
                raise OSError(getattr(errno, fault.errno), "torn")
            os.utime(handle, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.removexattr(handle, MARK)
            os.chmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & ~stat.S_ISVTX)
            os.unlink(self.folder + name)
            self.note("fetched", path)
        except OSError as error:
            self.note("not fetched", path, error=str(error))
        finally:
            with self.lock:
                self.fetching.remove(identity(status))
            os.close(handle)

    def state(self, path: str) -> dict[str, str]:
        handle = self.descriptor(path)
        with self.lock:
            coming, stub = identity(os.fstat(handle)) in self.fetching, self.stub(handle)
        os.close(handle)
        return {"path": path, "state": "fetching" if coming else "tape" if stub else "disk"}
