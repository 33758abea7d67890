"""Checks of parsed data. Pure: a check takes a value and yields (path below the value, what is wrong)."""

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Problems = Iterator[tuple[str, str]]
Check = Callable[[Any], Problems]


class Required(str):
    """In place of a default: the key must be there. The text says what to do where it is not."""


def shown(value: object) -> str:
    """A value for an error: in one line, of at most some 200 characters."""
    try:
        said = repr(value)
    except ValueError:  # a number of thousands of digits
        said = "that"
    return said if len(said) <= 200 else said[:200] + "…"


def plain(line: str) -> str:
    """A line without control characters, of at most 1000 characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line[:1000])


def text(pattern: str, wanted: str) -> Check:
    """A check for text that matches the whole pattern; `wanted` says in words what it should be."""
    def check(value: object) -> Problems:
        if not isinstance(value, str):
            yield "", f"{shown(value)} is no text"
        elif not re.fullmatch(pattern, value, re.ASCII):
            yield "", f"{shown(value)} is not {wanted}"
    return check


def one_of(*choices: str) -> Check:
    """A check for one of these texts."""
    def check(value: object) -> Problems:
        if value not in choices or isinstance(value, bool):
            yield "", f"{shown(value)} is none of {', '.join(choices)}"
    return check


def number(least: float, most: float, kind: type[int] | type[float] = int) -> Check:
    """A check for a number from `least` to `most`; a whole one unless `kind` is float."""
    def check(value: object) -> Problems:
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or not least <= value <= most:
            yield "", f"{shown(value)} is not a {'whole ' if kind is int else ''}number from {least} to {most}"
    return check


def flag(value: object) -> Problems:
    """Checks for true or false."""
    if not isinstance(value, bool):
        yield "", f"{shown(value)} is neither true nor false"


def options(value: Any) -> Problems:
    """Checks for a line of a command's options, as a shell splits it."""
    try:
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or not shlex.split(value) and value.strip():
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        yield "", f"{shown(value)} is not a line of options with every quote closed"


def list_of(check_item: Check) -> Check:
    """A check for a list whose items all differ and pass a check."""
    def check(value: object) -> Problems:
        if not isinstance(value, list):
            yield "", f"{shown(value)} is no list"
            return
        for index, item in enumerate(value):
            yield from ((f"[{index}]{path}", problem) for path, problem in check_item(item))
        for index, item in enumerate(value):
            if item in value[:index]:
                yield f"[{index}]", f"{shown(item)} is there a second time"
    return check


def table(keys: Mapping[str, tuple[Check, object]]) -> Check:
    """A check for a table of these keys: key → (check of its value, default or Required)."""
    def check(value: object) -> Problems:
        if not isinstance(value, dict):
            yield "", f"{shown(value)} is no table"
            return
        for key in value:
            if key not in keys:
                import difflib  # only here: it takes long to load
                near = difflib.get_close_matches(key, keys, 1)
                yield f".{key}", "unknown; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(keys)}")
        for key, (check_key, default) in keys.items():
            if key in value:
                yield from ((f".{key}{path}", problem) for path, problem in check_key(value[key]))
            elif isinstance(default, Required):
                yield f".{key}", f"is missing{default}"
    return check


def each_of(check_name: Check, check_value: Check) -> Check:
    """A check for a table of any keys, each of which passes the one check, and its value the other."""
    def check(value: object) -> Problems:
        if not isinstance(value, dict):
            yield "", f"{shown(value)} is no table"
            return
        for name, inner in value.items():
            yield from ((f".{name}{path}", problem) for path, problem in check_name(name))
            yield from ((f".{name}{path}", problem) for path, problem in check_value(inner))
    return check


def network(value: object) -> Problems:
    """Checks for an IP address or network."""
    known = re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]+)?", value) if isinstance(value, str) else None
    try:
        ipaddress.ip_network(known[0] if known else "", strict=False)
    except ValueError:
        yield "", f"{shown(value)} is not an address or a network"


def address_and_port(text: str) -> tuple[str, int]:
    """A host's address without a port, and the port that it names, else that of http."""
    found = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", text)
    if is_numeric(text) or not found:
        return text, 80
    return found[1], int(found[2] or 80)


def is_numeric(address: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        return bool(ipaddress.ip_address(address))
    except ValueError:
        return False
