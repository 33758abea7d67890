"""A mock tape archive. Closing a written file can move its content to tape. Until it is fetched back, reading fails."""

import contextlib
import fcntl
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable

from .power import HIDDEN, identity

MARK = "user.tapemock"  # extended attribute of a file on tape: its content's name in the folder of --tape


class Tape:
    """Archives each file below any folder named final when a writer closes it. Contents go to the folder `folder`."""

    def __init__(self, root: str, folder: str, note: Callable[..., None], struck: Callable[[str], object]) -> None:
        self.root, self.folder, self.note, self.struck = root, f"{folder}/", note, struck
        self.lock, self.fetching = threading.Lock(), set[tuple[int, int]]()
        os.listdir(folder)

    def stub(self, where: str | int) -> str:
        """Return the name of the file's content on tape, or "" if the file is not on tape."""
        with contextlib.suppress(OSError):
            return os.getxattr(where, MARK).decode()
        return ""

    def closed(self, path: str, handle: int) -> None:
        """Archive a file below `final` that was open for writing. Only one writer at a time is supported."""
        final = "/final/" in path and HIDDEN not in path
        if final and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE and not self.stub(handle):
            try:
                self.archive(handle)
                self.note("archived", path)
            except OSError as error:
                self.note("not archived", path, error=str(error))

    def archive(self, handle: int) -> None:
        found, name = os.fstat(handle), uuid.uuid4().hex
        shutil.copyfile(f"/proc/self/fd/{handle}", self.folder + name)
        os.setxattr(handle, MARK, name.encode())
        os.truncate(handle, 0)
        os.chmod(handle, stat.S_IMODE(found.st_mode) | stat.S_ISVTX)  # by this bit, programs see what is on tape
        os.utime(handle, ns=(found.st_atime_ns, found.st_mtime_ns))

    def found(self, path: str) -> int:
        return os.open(self.root + os.path.normpath("/" + path), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)

    def fetch(self, path: str, delay: float) -> None:
        """Fetch a file from tape in a thread, after `delay` seconds. Raise ValueError if the file is not on tape."""
        handle = self.found(path)
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
        found = os.fstat(handle)
        try:
            time.sleep(delay)
            self.struck(path)
            with open(self.folder + name, "rb") as source, os.fdopen(os.dup(handle), "wb") as file:
                shutil.copyfileobj(source, file)
            os.utime(handle, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.removexattr(handle, MARK)
            os.chmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & ~stat.S_ISVTX)
            os.unlink(self.folder + name)
            self.note("fetched", path)
        except OSError as error:
            self.note("not fetched", path, error=str(error))
        finally:
            with self.lock:
                self.fetching.remove(identity(found))
            os.close(handle)

    def state(self, path: str) -> dict[str, str]:
        handle = self.found(path)
        with self.lock:
            coming, stub = identity(os.fstat(handle)) in self.fetching, self.stub(handle)
        os.close(handle)
        return {"path": path, "state": "fetching" if coming else "tape" if stub else "disk"}
