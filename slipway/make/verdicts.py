"""Verdicts on new migrations for people: on those since the last release."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from slipway.schema.rules import Noted, Uses, judge_entry, noted_in, uses_before

FILES = "*/migrations/*.py"
TAG = ["describe", "--tags", "--abbrev=0"]
ADDED = ["diff", "--name-only", "--diff-filter=A"]
UNTRACKED = ["ls-files", "--others", "--exclude-standard"]


def new() -> list[str]:
    """Return the migrations since the newest tag, as app.0042_name; none without git. If that tag has all, it is this
    release's own: those since the tag before. Without a tag, those since the commit before."""
    with contextlib.suppress(OSError):
        for commit in ("HEAD", "HEAD^"):
            since = git(*TAG, commit).strip() or "HEAD^"
            paths = map(Path, f"{git(*ADDED, since, '--', FILES)}{git(*UNTRACKED, '--', FILES)}".splitlines())
            names = {f"{path.parent.parent.name}.{path.stem}" for path in paths if path.stem != "__init__"}
            if names:
                return sorted(names)
    return []


def git(*words: str) -> str:
    """Return what git says; nothing if it fails."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout


def in_image(docker: Sequence[str], image: str) -> dict[str, Noted]:
    """Return what the build of an image on this machine noted for each kind of database; none without it."""
    words = ["run", "--rm", "--pull=never", "--network=none", "--entrypoint=cat", image, "migrations.json"]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return noted_in(json.loads(subprocess.run([*docker, *words], capture_output=True, check=False).stdout))
    return {}


def lines(vendors: Mapping[str, Noted], names: Iterable[str], uses: Uses | None = None) -> Iterator[str]:
    """Yield the verdicts on migrations, for each kind of database: by what the live release uses, if that is known,
    else by what a release used that lacks these migrations."""
    names = [*names]
    for vendor, noted in sorted(vendors.items()):
        entries = noted["migrations"]
        used = uses_before(entries, names) if uses is None else uses
        for name in sorted(entries.keys() & {*names}):
            errors, warnings = judge_entry(entries[name], used)
            verdict = "error" if errors else "warning" if warnings else "ok"
            yield ": ".join(filter(None, [f"{name} on {vendor}", verdict, "; ".join([*errors, *warnings])]))
            for lock in entries[name].get("locks", ()):
                yield f"{name} on {vendor}: {sentence(**lock)}"


def sentence(table: str, waits: str, work: Mapping[str, Mapping[str, int]], named: Callable[[str], str] = str) -> str:
    """Return who waits for a table while `work` (table → what is done to it → how often) lasts. `named`: adds a table's
    size."""
    done = " and ".join(
        f"{'it' if other == table else named(other)} is "
        + " and ".join(kind if times == 1 else f"{kind} ({times} times)" for kind, times in kinds.items())
        for other, kinds in work.items()
    )
    return f"{named(table)}: {waits} wait while {done}"
