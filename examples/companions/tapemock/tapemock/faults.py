import errno
import fnmatch
import random
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

Operation = Literal["chmod", "chown", "create", "fetch", "flush", "fsync", "fsyncdir", "getattr", "link", "mkdir",
                    "mknod", "open", "opendir", "read", "readdir", "readlink", "rename", "rmdir", "statfs", "symlink",
                    "truncate", "unlink", "utimens", "write"]
OPERATIONS = frozenset(get_args(Operation))


def known(name: str) -> str:
    if name not in errno.errorcode.values():
        raise ValueError("should be a name such as EIO")
    return name


class Fault(BaseModel, extra="forbid", strict=True, allow_inf_nan=False):
    path: str = "*"
    operation: Annotated[list[Operation], BeforeValidator(lambda one: [one] if isinstance(one, str) else one)] = []
    errno: Annotated[str, AfterValidator(known)] | None = None
    delay: float = Field(0, ge=0, le=86400)
    torn: int | None = Field(None, ge=0)
    rate: float = Field(1, ge=0, le=1)
    count: int | None = Field(None, ge=1)
    after: int | None = Field(None, ge=0)
    id: int = 0
    struck: int = 0
    _passed: int = 0

    def concerns(self, operation: str, paths: list[str]) -> bool:
        return ((not self.operation or operation in self.operation) and (self.count is None or self.struck < self.count)
                and any(fnmatch.fnmatchcase(path.lstrip("/"), self.path) for path in paths))

    def lets_pass(self, operation: str, size: int, verdict: "Verdict") -> bool:
        """Return True if the rule spares this operation. The rule spares the first `after` bytes, then strikes with
        chance `rate`. If a write would exceed `after`, set `verdict.room` to the number of bytes that fit."""
        left = (self.after or 0) - self._passed
        if left > 0 and (size <= left or operation == "write"):
            self._passed += min(size, left)
            verdict.room = min(left, size if verdict.room is None else verdict.room)
            return True
        return random.random() >= self.rate


@dataclass
class Verdict:
    """The faults that an operation gets."""
    delay: float = 0  # seconds to wait
    errno: str | None = None  # name of the error to raise
    room: int | None = None  # a longer write is cut to this many bytes, and returns that number
    torn: int | None = None  # only this many bytes are written, even if the write reports success
    ids: list[int] = field(default_factory=list)  # the rules that apply


class Faults:
    """The rules. If several match, delays add up; `errno` and `torn` each come from the first rule that sets it."""
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

    def decide(self, operation: str, paths: list[str], size: int = 0) -> Verdict:
        """Return the faults of an operation of `size` bytes. Increase the count `struck` of each rule that applies."""
        verdict = Verdict()
        with self.lock:
            for rule in self.rules.values():
                if rule.concerns(operation, paths) and not rule.lets_pass(operation, size, verdict):
                    rule.struck += 1
                    verdict.ids.append(rule.id)
                    verdict.delay += rule.delay
                    verdict.errno = verdict.errno or rule.errno
                    verdict.torn = rule.torn if verdict.torn is None else verdict.torn
        return verdict
