"""Replaces files atomically and durably, and locks files: see docs/files.md."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from typing import IO, Any

from .files import give, keep, link_replace, locked, sync, write_replace, written

__all__ = ["LockedOpen", "link_replace", "write_replace"]


class LockedOpen:
    """Opens a file like `open` and locks it until the block ends. Several processes may hold a `shared` lock at once.

    If another process replaces the file during the wait, the new file is opened. Replace a locked file only by the
    method `replace`, so that no change is lost.

    `mode` is as for `open`, without "x". "w" locks the file before emptying it. After `timeout` s, raise TimeoutError.
    """

    FLAGS = {"r": 0, "w": os.O_CREAT, "a": os.O_CREAT | os.O_APPEND}

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: str = "r+",
        *,
        shared: bool = False,
        timeout: float | None = None,
        encoding: str | None = None,
    ) -> None:
        access = os.O_RDWR if "+" in mode else os.O_RDONLY if "r" in mode else os.O_WRONLY
        self.path = path
        self.mode = mode
        self.encoding = encoding
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

    def replace(self, content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None) -> None:
        """Replace the file as `write_replace` does, but keep its mode and owner if none are given: who may not give a
        file away keeps only its group, who is not in the group neither, and then the mode as far as nobody gets more
        access. Text has the `encoding`. Lock the new file, too: no other process may lock it before the block ends."""
        old = os.stat(self.path)
        if owner:
            own = functools.partial(give, owner, stat.S_IMODE(old.st_mode) if mode is None else mode)
        else:
            own = functools.partial(keep, old, mode)
        if isinstance(content, str) and self.encoding:
            content = content.encode(self.encoding)
        with contextlib.ExitStack() as stack:
            os.rename(stack.enter_context(written(self.path, content, own)), self.path)
            self.stack.push(stack.pop_all())
        sync(os.path.dirname(self.path))
