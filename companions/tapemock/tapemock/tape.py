"""A mock of a tape archive: an archived file is a stub of the same size, with the sticky bit, until it is fetched."""

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

from .faults import Wrong
from .passthrough import HERE

MARK = "user.tapemock"  # what has a replica bears its checksum, which is the replica's name
BLOCK = 1 << 20
CLOSING = 1  # second: the kernel tells of a close when it has returned
Change = Callable[[bytes], bytes]


def mark(where: str | int) -> str | None:
    """The checksum of its replica, None where it has none. A path's last link is not followed."""
    with contextlib.suppress(OSError):
        return os.getxattr(where, MARK, follow_symlinks=isinstance(where, int)).decode()
    return None


def offline(where: str | int) -> bool:
    """Whether its content is on tape alone."""
    mode = os.stat(where, follow_symlinks=isinstance(where, int)).st_mode
    return bool(stat.S_ISREG(mode) and mode & stat.S_ISVTX) and mark(where) is not None


def here(where: str | int) -> None:
    """Raises OSError for a stub."""
    if offline(where):
        raise OSError(errno.EIO, "on tape")


def copied(source: IO[bytes], target: IO[bytes], change: Change = bytes) -> str:
    """The checksum of what is copied, as it is after the change."""
    checksum = hashlib.sha256()
    while block := change(source.read(BLOCK)):
        checksum.update(block)
        target.write(block)
    target.flush()
    return checksum.hexdigest()


@contextlib.contextmanager
def within(path: str) -> Iterator[tuple[int, str]]:
    """The descriptor of the directory that it is in, and its name there. Each name is opened in the one before, as a
    link may lead out. Raises OSError."""
    *above, name = [name for name in os.path.normpath("/" + path).split("/") if name] or ["."]
    with contextlib.ExitStack() as stack:
        number = HERE
        for folder in (".", *above):
            number = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=number)
            stack.callback(os.close, number)
        yield number, name


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A file within the directory, to be read and written; its times stay. Raises OSError, Wrong."""
    with within(path) as (folder, name):
        number = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(number, "r+b", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Wrong(f"{path} is no file")
        try:
            yield file
        finally:
            os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def emptied(handle: int) -> None:
    """Nothing but its size is left."""
    size = os.fstat(handle).st_size
    os.truncate(handle, 0)
    os.truncate(handle, size)


class Tape:
    """`used` says of a file whether it is open; under `lock` that stays so, and a change of it is told."""

    def __init__(self, folder: str, log: Callable[..., None], lock: threading.Condition,
                 used: Callable[[os.stat_result], bool]) -> None:
        self.folder, self.log, self.lock, self.used = folder, log, lock, used
        self.fetching = set[tuple[int, int]]()

    def archive(self, path: str) -> None:
        """Raises Wrong, OSError where it cannot be."""
        with opened(path) as file:
            handle = file.fileno()
            if offline(handle):
                raise Wrong(f"{path} is on tape already")
            before = os.fstat(handle)
            checksum = self.kept(file)
            with self.lock:
                self.lock.wait_for(lambda: not self.used(before), CLOSING)
                now = os.fstat(handle)
                if self.used(now) or (now.st_mtime_ns, now.st_size) != (before.st_mtime_ns, before.st_size):
                    raise Wrong(f"{path} is in use")
                os.setxattr(handle, MARK, checksum.encode())
                os.chmod(handle, stat.S_IMODE(now.st_mode) | stat.S_ISVTX)
                emptied(handle)
        self.log("archived", path, checksum=checksum)

    def kept(self, file: IO[bytes]) -> str:
        """Write its replica. Returns its checksum."""
        coming = os.path.join(self.folder, f"coming-{threading.get_ident()}")
        with open(coming, "wb") as replica:
            checksum = copied(file, replica)
        os.replace(coming, os.path.join(self.folder, checksum))
        return checksum

    def fetch(self, path: str, wait: Callable[[], Change]) -> None:
        """In a thread, once it has waited, its content comes back. Raises Wrong, OSError for what is not on tape."""
        with opened(path) as file:
            if not offline(file.fileno()):
                raise Wrong(f"{path} is not on tape")
            found = os.fstat(file.fileno())
        with self.lock:
            if (found.st_dev, found.st_ino) not in self.fetching:
                threading.Thread(target=self.come, args=(path, found, wait), daemon=True).start()
                self.fetching.add((found.st_dev, found.st_ino))

    def come(self, path: str, found: os.stat_result, wait: Callable[[], Change]) -> None:
        try:
            change = wait()
            with opened(path) as file:
                self.log("fetched", path, checksum=self.restored(file, path, change))
        except (OSError, Wrong) as error:
            self.log("not fetched", path, error=str(error))
        finally:
            with self.lock:
                self.fetching.remove((found.st_dev, found.st_ino))

    def restored(self, file: IO[bytes], path: str, change: Change) -> str:
        """The content's checksum. Raises Wrong where it is not that of what was archived: it stays a stub."""
        handle = file.fileno()
        checksum = mark(handle) or ""
        with open(os.path.join(self.folder, checksum), "rb") as replica:
            if copied(replica, file, change) != checksum:
                emptied(handle)
                raise Wrong("its checksum is another")
        os.chmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & ~stat.S_ISVTX)
        return checksum

    def shown(self, path: str) -> dict[str, Any]:
        """Where its content is."""
        with within(path) as (folder, name):
            found, where = os.stat(name, dir_fd=folder, follow_symlinks=False), f"/proc/self/fd/{folder}/{name}"
            coming, checksum = (found.st_dev, found.st_ino) in self.fetching, mark(where)
            state = "fetching" if coming else "tape" if offline(where) else "both" if checksum else "disk"
        return {"path": path, "state": state, "checksum": checksum}
