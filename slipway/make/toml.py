"""Read TOML files, for which Python must be 3.11 or newer. The rest of this needs Python 3.9."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """Return the file's tables. Exit with one line if it is no TOML, or if this Python cannot read it."""
    if sys.version_info < (3, 11):
        sys.exit(f"make: only Python 3.11 or newer can read {path}: run make PYTHON=…")
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8-sig"))  # as uv, which skips a byte order mark
    except ValueError as error:  # UnicodeDecodeError is one, too
        sys.exit(f"make: {path} is no TOML, correct it: {error}")


def indexes(path: Path) -> list[dict[str, Any]]:
    """Return the indexes that pyproject.toml names for uv. An older Python, which cannot read them, is refused only if
    there may be some."""
    old = sys.version_info < (3, 11)
    if not path.exists() or (
        old and not re.search(r"^\s*(\[\[\s*tool\.uv\.index|index\s*=)", path.read_text("utf-8", "replace"), re.M)
    ):
        return []
    table: Any = read(path)
    for key in ("tool", "uv", "index"):
        table = table.get(key) if isinstance(table, dict) else None
    found = table if isinstance(table, list) else []
    if not all(isinstance(index, dict) and isinstance(index.get("url"), str) for index in found):
        sys.exit(f'make: {path}: each index of tool.uv needs a url, such as "https://packages.example/simple/"')
    return found
