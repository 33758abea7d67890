"""A folder of messages: each is done once, and again where who did it was killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator

from .files import locked, remove, sync, write_replace


class Spool:
    """Messages, a file each, named by the time. Who takes one holds its lock, which ends with the process: so nobody
    needs to guess how long another may take. Made where it is not there; the folder above has to be, and readable."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.path.abspath(folder)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder)
        sync(os.path.dirname(self.folder))  # who made it may have been killed before that

    def put(self, content: str | bytes, mode: int = 0o600) -> str:
        """Add a message, which is on the disk, whole, once this returns; its name. Raises OSError."""
        name = "%020d-%s" % (time.time_ns(), secrets.token_hex(8))
        write_replace(os.path.join(self.folder, name), content, mode)
        return name

    @contextlib.contextmanager
    def take(self) -> Iterator[bytes | None]:
        """The oldest message that nobody else has, or None. It is gone, for good, where the block ends well. Where the
        block raises, or its process or the machine dies, the message is there for the next who takes one."""
        with contextlib.ExitStack() as stack:
            for path in self.paths():
                number = claim(path, stack)
                if number is not None:
                    with open(number, "rb", closefd=False) as file:
                        content = file.read()
                    yield content
                    remove(path)
                    return sync(self.folder)
            yield None

    def paths(self) -> list[str]:
        """The messages, the oldest first, after a removal of what killed processes have left of theirs."""
        paths = [os.path.join(self.folder, name) for name in sorted(os.listdir(self.folder))]
        for path in paths:
            with contextlib.suppress(PermissionError), contextlib.ExitStack() as stack:  # it is another user's
                if path.endswith(".new") and claim(path, stack) is not None:
                    remove(path)
        return [path for path in paths if not path.endswith(".new")]


def claim(path: str, stack: contextlib.ExitStack) -> int | None:
    """Lock a file until the stack ends: its number. None where another has it, or it is gone."""
    try:
        return stack.enter_context(locked(path, timeout=0))
    except (FileNotFoundError, TimeoutError):
        return None
