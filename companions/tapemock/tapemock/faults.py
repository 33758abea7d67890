"""Which operation fails, and how: rules, and what they say of one operation. Nothing here touches a file."""

import errno
import fnmatch
import random
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

OPERATIONS = frozenset("""chmod chown create fallocate flush fsync fsyncdir getattr getxattr link listxattr mkdir mknod
    open opendir read readdir readlink removexattr rename rmdir setxattr statfs symlink truncate unlink utimens write
    fetch""".split())
BOUNDS = {"rate": (0, 1), "count": (1, 2**63), "after": (0, 2**63), "delay": (0, 86400), "torn": (0, 2**63),
          "flip": (1, 1000)}
WHOLE = {"count", "after", "torn", "flip"}


class Wrong(Exception):
    """What was asked for cannot be: one line."""


@dataclass
class Fault:
    """A rule. `errno` is 0 for an operation that is to work."""

    path: str = "*"
    operation: list[str] = field(default_factory=list)
    errno: int = 0
    delay: float = 0
    torn: int | None = None
    flip: int = 0
    rate: float = 1
    count: int | None = None
    after: int = 0
    id: int = 0
    struck: int = 0
    passed: int = 0

    def concerns(self, operation: str, paths: list[str]) -> bool:
        return ((not self.operation or operation in self.operation) and self.count != 0
                and any(fnmatch.fnmatchcase(path.lstrip("/"), self.path) for path in paths))

    def shown(self) -> dict[str, Any]:
        return asdict(self) | {"errno": errno.errorcode.get(self.errno)}


@dataclass
class Verdict:
    """What is to happen: wait, then fail; or do but `room` bytes, `torn` of them, with so many bits flipped."""

    delay: float = 0
    errno: int = 0
    room: int | None = None
    torn: int | None = None
    flip: int = 0
    ids: list[int] = field(default_factory=list)


def parsed(given: Any) -> Fault:
    """The rule that this JSON is. Raises Wrong."""
    if not isinstance(given, dict):
        raise Wrong("a fault is an object")
    given = {name: value for name, value in given.items() if value is not None}
    if unknown := given.keys() - {"path", "operation", "errno", *BOUNDS}:
        raise Wrong(f"{min(unknown)!r} is nothing that a fault has")
    if not isinstance(given.get("path", ""), str):
        raise Wrong("path should be a pattern")
    if not {"errno", "delay", "torn", "flip"} & given.keys():
        raise Wrong("a fault should have one of errno, delay, torn, flip")
    for name in given.keys() & BOUNDS.keys():
        bounded(name, given[name])
    return Fault(**given | {"operation": operations(given.get("operation", [])), "errno": number(given.get("errno"))})


def bounded(name: str, value: Any) -> Any:
    """The value. Raises Wrong."""
    least, most = BOUNDS[name]
    kinds = (int,) if name in WHOLE else (int, float)
    if type(value) not in kinds or not least <= value <= most:
        raise Wrong(f"{name} should be a{' whole' if name in WHOLE else ''} number from {least} to {most}")
    return value


def operations(given: Any) -> list[str]:
    named = [given] if isinstance(given, str) else given
    if not isinstance(named, list) or any(not isinstance(one, str) or one not in OPERATIONS for one in named):
        raise Wrong("operation should be of: " + " ".join(sorted(OPERATIONS)))
    return named


def number(given: Any) -> int:
    """Of ENOSPC and the like; 0 for None."""
    if given is None:
        return 0
    found = getattr(errno, given, None) if isinstance(given, str) else None
    if not isinstance(found, int):
        raise Wrong("errno should be a name as EIO")
    return found


class Faults:
    """The rules that are in force. The first that concerns an operation and has an errno decides on that."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.rules, self.made, self.lock = chance, dict[int, Fault](), 0, threading.Lock()

    def add(self, fault: Fault) -> Fault:
        with self.lock:
            self.made += 1
            fault.id = self.made
            self.rules[fault.id] = fault
        return fault

    def remove(self, number: int | None = None) -> None:
        """That rule, or all. Raises Wrong where there is no such rule."""
        with self.lock:
            if number is None:
                self.rules.clear()
            elif self.rules.pop(number, None) is None:
                raise Wrong(f"there is no fault {number}")

    def shown(self) -> list[dict[str, Any]]:
        with self.lock:
            return [rule.shown() for rule in self.rules.values()]

    def decide(self, operation: str, paths: list[str], size: int = 0) -> Verdict:
        """For one operation, of so many bytes; the rules count it."""
        verdict = Verdict()
        with self.lock:
            for rule in self.rules.values():
                if not rule.concerns(operation, paths) or self.lets_pass(rule, operation, size, verdict):
                    continue
                rule.struck += 1
                rule.count = None if rule.count is None else rule.count - 1
                verdict.ids.append(rule.id)
                verdict.delay += rule.delay
                verdict.errno = verdict.errno or rule.errno
                verdict.torn = rule.torn if verdict.torn is None else verdict.torn
                verdict.flip += rule.flip
        return verdict

    def lets_pass(self, rule: Fault, operation: str, size: int, verdict: Verdict) -> bool:
        """Whether the rule leaves this one alone: by chance, or as its first bytes. A write is cut to what is left."""
        left = rule.after - rule.passed
        if left > 0 and (size <= left or operation == "write"):
            rule.passed += min(size, left)
            verdict.room = min(left, size if verdict.room is None else verdict.room)
            return True
        return self.chance.random() >= rule.rate
