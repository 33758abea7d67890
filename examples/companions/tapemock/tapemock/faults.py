"""Faults: which operations on which paths fail, and how."""

import errno
import fnmatch
import threading
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

Operation = Literal[
    "chmod",
    "chown",
    "create",
    "fetch",
    "flush",
    "fsync",
    "fsyncdir",
    "getattr",
    "link",
    "mkdir",
    "mknod",
    "open",
    "opendir",
    "read",
    "readdir",
    "readlink",
    "rename",
    "rmdir",
    "statfs",
    "symlink",
    "truncate",
    "unlink",
    "utimens",
    "write",
]
OPERATIONS = frozenset(get_args(Operation))


def errno_name(name: str) -> str:
    if name not in errno.errorcode.values():
        raise ValueError("should be a name such as EIO")
    return name


class Fault(BaseModel, extra="forbid", strict=True, allow_inf_nan=False):
    """A fault, as JSON describes it."""

    path: str = "*"
    operation: Annotated[
        list[Operation], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
    ] = []
    errno: Annotated[str, AfterValidator(errno_name)] | None = None
    delay: float = Field(0, ge=0, le=86400)
    torn: int | None = Field(None, ge=0)
    count: int | None = Field(None, ge=1)
    after: int = Field(0, ge=0)
    id: int = 0
    struck: int = 0
    _passed: int = 0

    def concerns(self, operation: str, paths: list[str]) -> bool:
        return (
            (not self.operation or operation in self.operation)
            and (self.count is None or self.struck < self.count)
            and any(fnmatch.fnmatchcase(path.lstrip("/"), self.path) for path in paths)
        )

    def room(self, operation: str, size: int) -> int | None:
        """Return how many bytes of an operation pass, or None if the fault strikes, as it does after `after` bytes."""
        left = self.after - self._passed
        if left > 0 and (size <= left or operation == "write"):
            self._passed += min(size, left)
            return min(size, left)
        return None


class Faults:
    """The faults, in the order in which they were added."""

    def __init__(self) -> None:
        self.rules, self.made, self.lock = dict[int, Fault](), 0, threading.Lock()

    def add(self, fault: Fault) -> dict[str, Any]:
        with self.lock:
            self.made += 1
            fault.id, fault.struck = self.made, 0
            self.rules[fault.id] = fault
            return fault.model_dump()

    def remove(self, number: int | None = None) -> None:
        with self.lock:
            self.rules = {id: rule for id, rule in self.rules.items() if number not in (None, id)}

    def shown(self) -> list[dict[str, Any]]:
        with self.lock:
            return [rule.model_dump() for rule in self.rules.values()]

    def decide(self, operation: str, paths: list[str], size: int = 0) -> tuple[Fault | None, int]:
        """Return the first fault that strikes an operation of `size` bytes, and how many bytes a write may have."""
        with self.lock:
            for rule in self.rules.values():
                if rule.concerns(operation, paths):
                    room = rule.room(operation, size)
                    if room is None:
                        rule.struck += 1
                        return rule, size
                    size = room
        return None, size
