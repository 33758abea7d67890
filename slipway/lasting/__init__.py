"""Files, written so that they last: whoever reads one, after a kill or a power cut too, finds it as it was or as it is
now. docs/files.md has the guarantees of each, and what none of them gives.

Standard library alone, and nothing of Django: the deployer's agent has files.py, too, and runs on Python 3.9.
"""

from __future__ import annotations

import contextlib
import os
from typing import IO, Any

from .files import link_replace, locked, sync, write_replace, written

__all__ = ["LockedOpen", "link_replace", "write_replace"]


class LockedOpen:
    """`open`, locked for as long as the block runs, by one process at a time; `shared`: by all who ask for that.

    What is open is what `path` names: where the file was replaced or removed while this waited, it opens the new one.
    So does everyone else, and who replaces a file under its lock, by `replace`, loses nothing of theirs. The lock ends
    with its process, however that ends; a forked child has it, too, unless the file was replaced. It binds only those
    who ask for it.

    `mode` is that of `open`, less "x"; "w" empties the file once it is locked. `timeout`: raises TimeoutError after so
    many seconds. Raises what `open` raises.
    """

    FLAGS = {"r": 0, "w": os.O_CREAT, "a": os.O_CREAT | os.O_APPEND}

    def __init__(self, path: str | os.PathLike[str], mode: str = "r+", *, shared: bool = False,
                 timeout: float | None = None, encoding: str | None = None) -> None:
        if mode[:1] not in self.FLAGS:
            raise ValueError(f"LockedOpen has no mode {mode!r}")
        access = os.O_RDWR if "+" in mode else os.O_RDONLY if "r" in mode else os.O_WRONLY
        self.path, self.mode, self.encoding = path, mode, encoding
        self.lock = locked(path, self.FLAGS[mode[0]] | access, shared=shared, timeout=timeout)
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> IO[Any]:
        with contextlib.ExitStack() as stack:
            number = stack.enter_context(self.lock)
            if self.mode[0] == "w":
                os.ftruncate(number, 0)
            file = stack.enter_context(open(number, self.mode, encoding=self.encoding, closefd=False))
            self.stack = stack.pop_all()
        return file

    def __exit__(self, *error: Any) -> None:
        self.stack.close()

    def replace(self, content: str | bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        """`write_replace`, for use in the block: the new file is locked, too, until that ends. After `write_replace`
        itself it would not be, and the next one's block would begin."""
        with contextlib.ExitStack() as stack:
            os.rename(stack.enter_context(written(self.path, content, mode, owner)), self.path)
            self.stack.push(stack.pop_all())
        sync(os.path.dirname(self.path))
