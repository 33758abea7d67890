"""Runs programs, and reads env files."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO

from slipway import envfile

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
RESERVE = 30  # seconds before the end of this process's time, for the record of what did not end


class Problem(Exception):
    """An error that the user sees, in one line."""


class Time:
    """The end of this process's time, by the monotonic clock: its unit would kill it then, without a record."""

    end = math.inf

    @classmethod
    def limit(cls, seconds: float) -> None:
        cls.end = time.monotonic() + seconds

    @classmethod
    def left(cls, seconds: float) -> float:
        """Return the seconds that a program may take, of those it would be given."""
        return min(seconds, max(1.0, cls.end - RESERVE - time.monotonic()))


def run(
    words: Sequence[str],
    input: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    seconds: float = math.inf,
    shown: bool = False,
    out: IO[bytes] | None = None,
    name: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with `input` as its stdin. Its output goes to `out`, or if `shown` to this
    process's. After `seconds`, or at the end of this process's time, or if it cannot start, raise Problem, with the
    program's `name`."""
    seconds = Time.left(seconds)
    try:
        return subprocess.run(
            words,
            input=input,
            stdout=out or (None if shown else subprocess.PIPE),
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, **(env or {})},
            cwd=cwd,
            timeout=None if seconds == math.inf else seconds,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem(f"{name or ' '.join(words[:2])} did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise Problem(f"{words[0]}: {error.strerror}") from None


def output(words: Sequence[str], input: str = "", seconds: float = 60) -> str:
    """Return a program's output without white space around it. Raise Problem if it fails."""
    done = run(words, input, seconds=seconds)
    if done.returncode:
        raise Problem(f"{' '.join(words[:2])}: {last_line(done.stderr)}")
    return done.stdout.strip()


def last_line(text: str) -> str:
    return (lines_of(text.strip()) or ["it failed, and printed nothing"])[-1]


def lines_of(text: str) -> list[str]:
    """Return the lines of a text. splitlines() would end one also at U+2028 and the like, which a name may have."""
    return text.removesuffix("\n").split("\n") if text else []


def assignments(path: str) -> dict[str, str]:
    """Return the variables of an env file; {} if it is missing. Raise Problem if it is malformed."""
    variables, problems = envfile.read_file(path)
    if problems:
        raise Problem("; ".join(problems))
    return variables


def megabytes(bytes: float) -> str:
    return f"{bytes / 1e6:,.0f} MB"


def say(text: str) -> None:
    print(text, flush=True)


def is_watched() -> bool:
    """Return True if somebody watches this process at a terminal."""
    return sys.stdout.isatty()


def told(at: float) -> str:
    """Return a time as people read it, and as slipway restore takes it: 2026-11-24 02:20:00 +0100."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S %z}"


def remove_containers(*names: str) -> None:
    """Remove containers, whether they run or not. Those that are missing are removed."""
    run(["docker", "rm", "-f", *names], seconds=60)


def is_running(container: str) -> bool:
    asked = ["docker", "inspect", "--format", "{{.State.Running}}", container]
    return run(asked, seconds=60).stdout.strip() == "true"
