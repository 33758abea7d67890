"""Verdicts on new migrations for people: on those that the last commit brought, or that are not committed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FILES = "*/migrations/*.py"
ADDED = (["diff", "--name-only", "--diff-filter=A", "HEAD^"], ["ls-files", "--others", "--exclude-standard"])
WAIT = {"rows": "who writes the same rows waits", "writers": "writers wait",
        "readers and writers": "readers and writers wait"}


def new() -> set[str]:
    """Return the new migrations, as app.0042_name; none without git."""
    try:
        found = [subprocess.run(["git", *words, "--", FILES], capture_output=True, text=True).stdout for words in ADDED]
    except OSError:
        return set()
    paths = [Path(line) for text in found for line in text.splitlines()]
    return {f"{path.parent.parent.name}.{path.stem}" for path in paths if path.stem != "__init__"}


def lines(found: Any, names: Iterable[str]) -> Iterator[str]:
    """Yield what a content of migrations.json says of migrations."""
    for vendor, entries in sorted(found["vendors"].items()):
        for name in sorted(entries.keys() & {*names}):
            entry = entries[name]
            yield ": ".join(filter(None, [f"{name} on {vendor}", entry["verdict"], "; ".join(entry["messages"])]))
            for lock in entry.get("locks", ()):
                work = {table: kind for kind in ("scanned", "rewritten", "changed") for table in lock[kind]}
                yield f"{name} on {vendor}: {sentence(lock['table'], lock['waits'], work)}"


def sentence(table: str, waits: str, work: Mapping[str, str], named: Callable[[str], str] = str) -> str:
    """Return who waits for a table while `work` (table → what is done to it) lasts. `named`: adds a table's size."""
    done = " and ".join(f"{'it' if other == table else named(other)} is {kind}{' row by row' * (kind == 'changed')}"
                        for other, kind in work.items())
    return f"{named(table)}: {WAIT[waits]} while {done}"


def judge(python: str, settings: str) -> None:
    """Judge new migrations on the tests' database, and show it. An error is none of the tests: it depends on the live
    release."""
    if names := new():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "migrations.json")
            done = subprocess.run([python, "-m", "slipway.schema.verdicts", str(path)], capture_output=True, text=True,
                                  env={**os.environ, "DJANGO_SETTINGS_MODULE": settings})
            why = (done.stderr.splitlines() or ["no output"])[-1]
            said = [*lines(json.loads(path.read_text()), names)] if path.exists() else []
            print(*said or [f"make: no verdicts on {', '.join(sorted(names))}: {why}"], sep="\n")
