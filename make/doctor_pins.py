"""What a file of pins holds, and whether that is what its .in file asks for, without the network. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

NAME = r"[A-Za-z0-9][\w.-]*"
ASKED = re.compile(rf"({NAME})\s*(?:\[[^\]]*\])?\s*([^;#@]*)(;?)")
PINNED = re.compile(rf"^({NAME})\s*(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)", re.MULTILINE)
CLAUSE = re.compile(r"(==|>=|<=|<|>)\s*([\d.]+)$")


def stale(asked: str, pinned: str, source: str) -> Iterator[str]:
    """What the pins lack of `source`, or have and should not; a text each. What it cannot judge it lets pass."""
    pins, names = versions_of(pinned), set()
    for name, versions, marker in (match.groups() for match in map(ASKED.match, lines(asked)) if match):
        names.add(normal(name))
        version = pins.get(normal(name))
        if version is None and not marker:
            yield f"{source} asks for {name}, which is not pinned"
        elif version is not None and not all(fits(version, clause.strip()) for clause in versions.split(",")):
            yield f"{source} asks for {name}{versions.strip()}, and {version} is pinned"
    for name in sorted(direct(pinned, source) - names):
        yield f"{source} no longer asks for {name}, which is pinned"


def lines(text: str) -> list[str]:
    """The lines that name a package, without comments."""
    found = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in found if line and not line.startswith(("#", "-")) and "://" not in line]


def versions_of(pinned: str) -> dict[str, str]:
    """Package → the version that is pinned."""
    return {normal(name): version for name, version in PINNED.findall(pinned)}


def direct(pinned: str, source: str) -> set[str]:
    """The packages whose comments say that `source` itself asks for them."""
    found, name = set(), ""
    for line in pinned.splitlines():
        if match := PINNED.match(line):
            name = normal(match[1])
        elif re.match(r"\S", line):  # pinned by a URL
            name = ""
        elif name and re.fullmatch(rf"\s+#\s+(via\s+)?-r {re.escape(source)}", line):
            found.add(name)
    return found


def fits(version: str, clause: str) -> bool:
    """Whether a version obeys one clause such as >=5.2; those of other kinds are taken to hold."""
    match = CLAUSE.match(clause)
    if not match or not re.fullmatch(r"[\d.]+", version):
        return True
    ours, theirs = number(version), number(match[2])
    return {"==": ours == theirs, ">=": ours >= theirs, "<=": ours <= theirs, "<": ours < theirs,
            ">": ours > theirs}[match[1]]


def number(version: str) -> list[int]:
    """5.2 as [5, 2]; zeros at the end mean nothing."""
    parts = [int(part) for part in version.split(".") if part]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
