"""Decides if pending migrations may lock tables of this size, and says who waits. Does no I/O."""

from collections.abc import Mapping
from typing import Any

from slipway.make.verdicts import sentence

from ..agent.steps.locks import Lock
from ..errors import Refused

ROWS, OF_ROWS = "changed row by row", "writers of the same rows"
RATES = {ROWS: 10_000_000, "rewritten": 20_000_000, "scanned": 100_000_000}  # bytes a second on a slow server
BRIEF = 0.1  # seconds: shorter work on a table is not told
CURES = {ROWS: "change rows in a migration of their own, in batches, with atomic = False",
         "rewritten": "add a new column, fill it in batches, then use it",
         "scanned": "add a constraint NOT VALID, then VALIDATE it in a later migration; build an index concurrently"}
THOUSANDS, BYTES = ("", " thousand", " million", " billion"), (" bytes", " kB", " MB", " GB", " TB")
HARM = ("these migrations would lock tables for longer than rollout.max_lock, {:g} s: change them as said, or take the"
        " risk with --allow-locks:")


def check(answers: Mapping[tuple[str, str], Any], most: float, allowed: bool) -> list[str]:
    """Return a line for each table that keeps someone waiting. Raise Refused if a lock lasts longer than `most` seconds
    by the RATES, unless that is `allowed`."""
    found = [lock for (step, _), answer in answers.items() if step == "verdicts" for lock in answer.get("locks", ())]
    long = [f"  {text(lock)}: {next(CURES[kind] for kind in CURES if kind in lock['work'].values())}"
            for lock in found if lock["waits"] != OF_ROWS and seconds(lock) > most]
    if long and not allowed:
        raise Refused("\n".join([HARM.format(most), *long]))
    return [text(lock) for lock in found if seconds(lock) >= BRIEF]


def seconds(lock: Lock) -> float:
    return sum(lock["sizes"].get(table, (0, 0))[0] / RATES[kind] for table, kind in lock["work"].items())


def text(lock: Lock) -> str:
    """Return a line such as "shop.0042_x: orders (48 million rows, 6 GB): writers wait while it is scanned, …"."""
    def named(table: str) -> str:
        size, rows = lock["sizes"].get(table, (0, 0))
        return f"{table} ({f'{short(rows, THOUSANDS)} rows, ' * (rows > 0)}{short(size, BYTES)})"
    said = sentence(lock["table"], lock["waits"], lock["work"], named)
    time = "duration unknown" if ROWS in lock["work"].values() else f"about {seconds(lock):.1f} s"
    return f"{lock['migration']}: {said}, {time}"


def short(number: int, units: tuple[str, ...]) -> str:
    """Return a number such as "48 million"."""
    power = min((len(str(number)) - 1) // 3, len(units) - 1)
    return f"{round(number / 1000 ** power, 1):g}{units[power]}"
