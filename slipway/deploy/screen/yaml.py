"""Plain data as YAML. Pure. Texts are quoted as JSON has them, which YAML reads, too: none is taken for anything else.
"""

import json
from collections.abc import Iterator
from typing import Any


def made_by(target: str, page: str) -> str:
    """What the head of a file says, that a command makes of the toml."""
    return f"Made by `make {target}` of the toml: change that, and make it again. docs/{page} tells of it."


def dump(data: Any, head: str = "") -> str:
    """The text of a file, after comments: a line each of `head`."""
    return "".join(f"{line}\n" for line in (*(f"# {line}" for line in head.splitlines()), *lines(data)))


def lines(data: Any) -> Iterator[str]:
    """The lines of dicts and lists, which hold such and scalars."""
    entries = [(f"{key}:", value) for key, value in data.items()] if isinstance(data, dict) else [
        ("-", value) for value in data]
    for begin, value in entries:
        if not isinstance(value, dict | list) or not value:
            yield f"{begin} {json.dumps(value, ensure_ascii=False)}"
        elif begin == "-":
            first, *rest = lines(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield begin
            yield from (f"  {line}" for line in lines(value))
