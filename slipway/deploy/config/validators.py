"""Checks of parsed data, and functions that make some. A check yields (path of a value's wrong part, problem)."""

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Problems = Iterator[tuple[str, str]]
Check = Callable[[Any], Problems]


class Required(str):
    """Marks a required key. The error for a missing key ends with this string, such as ": set it here, or set APP"."""


def value_text(value: object) -> str:
    """Return a value as text for an error: one line, at most about 200 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print a number of thousands of digits
        text = "the number"
    return text if len(text) <= 200 else text[:200] + "…"


def printable(line: str) -> str:
    """Cut a line after 1000 characters; escape its unprintable characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line[:1000])


def text(pattern: str, description: str) -> Check:
    """Return a check that a string matches the pattern. Errors name the pattern by its `description`."""

    def check(value: object) -> Problems:
        if not isinstance(value, str):
            yield "", f"{value_text(value)} is not a string"
        elif not re.fullmatch(pattern, value, re.ASCII):
            yield "", f"{value_text(value)} is not {description}"

    return check


def one_of(*choices: str) -> Check:
    def check(value: object) -> Problems:
        if value not in choices or isinstance(value, bool):
            yield "", f"{value_text(value)} is not one of {', '.join(choices)}"

    return check


def number(least: float, most: float, kind: type[int] | type[float] = int) -> Check:
    """Return a check that a number is from `least` to `most`. The number must be whole unless `kind` is float."""

    def check(value: object) -> Problems:
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or not least <= value <= most:
            yield "", f"{value_text(value)} is not a {'whole ' if kind is int else ''}number from {least} to {most}"

    return check


def flag(value: object) -> Problems:
    if not isinstance(value, bool):
        yield "", f"{value_text(value)} is neither true nor false"


def options(value: Any) -> Problems:
    """Check that the value is a line of options in shell syntax."""
    try:
        if not value.replace("\t", " ").isprintable() or (not shlex.split(value) and value.strip()):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        yield "", f"{value_text(value)} is not a line of options, or a quote is not closed"


def list_of(check_item: Check, most: float = float("inf")) -> Check:
    """Return a check of a list: its items, at most so many, must differ and pass `check_item`."""

    def check(value: object) -> Problems:
        if not isinstance(value, list):
            yield "", f"{value_text(value)} is not a list"
            return
        if len(value) > most:
            yield "", f"has {len(value)} entries, but {most} are the most"
        for index, item in enumerate(value):
            yield from ((f"[{index}]{path}", problem) for path, problem in check_item(item))
        for index, item in enumerate(value):
            if item in value[:index]:
                yield f"[{index}]", f"{value_text(item)} is listed twice"

    return check


def table(keys: Mapping[str, tuple[Check, object]]) -> Check:
    """Return a check of a table. `keys`: key → (check of its value, its default or Required)."""

    def check(value: object) -> Problems:
        if not isinstance(value, dict):
            yield "", f"{value_text(value)} is not a table"
            return
        for key in value:
            if key not in keys:
                import difflib  # imported only here, because it loads slowly

                near = difflib.get_close_matches(key, keys, 1)
                yield f".{key}", "unknown; " + (f"did you mean {near[0]}?" if near else f"keys: {', '.join(keys)}")
        for key, (check_key, default) in keys.items():
            if key in value:
                yield from ((f".{key}{path}", problem) for path, problem in check_key(value[key]))
            elif isinstance(default, Required):
                yield f".{key}", f"is missing{default}"

    return check


def each_of(check_name: Check, check_value: Check) -> Check:
    def check(value: object) -> Problems:
        if not isinstance(value, dict):
            yield "", f"{value_text(value)} is not a table"
            return
        for name, inner in value.items():
            yield from ((f".{name}{path}", problem) for path, problem in check_name(name))
            yield from ((f".{name}{path}", problem) for path, problem in check_value(inner))

    return check


def network(value: object) -> Problems:
    match = re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]+)?", value) if isinstance(value, str) else None
    try:
        ipaddress.ip_network(match[0] if match else "", strict=False)
    except ValueError:
        yield "", f"{value_text(value)} is not an address or a network"


def address_and_port(text: str) -> tuple[str, int]:
    """Split "host:8080" into address and port. If the text has no port, return port 80."""
    match = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", text)
    if is_numeric(text) or not match:
        return text, 80
    return match[1], int(match[2] or 80)


def is_numeric(address: str) -> bool:
    try:
        return bool(ipaddress.ip_address(address))
    except ValueError:
        return False
