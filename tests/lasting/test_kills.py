"""kill -9 at each call of the system that a primitive makes: what is there is whole, and the next one goes on."""

import re
import shutil
import sys

import pytest

from lasting.primitives import PRIMITIVES, check
from proc import ROOT, run

# What neither reads nor changes a file, and what CPython asks of memory and signals.
ELSEWHERE = {"mmap", "munmap", "mremap", "mprotect", "brk", "rt_sigaction", "rt_sigprocmask", "futex", "getpid",
             "gettid", "exit_group", "getrandom", "madvise"}
SCRIPT = """
import os, sys
from lasting.primitives import PRIMITIVES
use = PRIMITIVES[sys.argv[1]].use
os.access("/begins", os.F_OK)
use(sys.argv[2])
os.access("/has-returned", os.F_OK)
"""


def traced(tmp_path, name, folder, *inject):
    """A primitive used in a process under strace: how that ended, and its calls as text."""
    strace = shutil.which("strace") or pytest.skip("strace is not installed")
    done = run([strace, "-f", "-qq", "-o", tmp_path / "calls", *inject, sys.executable, "-S", "-c", SCRIPT, name,
                folder], cwd=ROOT / "tests", env={"PYTHONPATH": f"{ROOT}:{ROOT}/tests", "PATH": "/usr/bin:/bin"})
    if "ptrace" in done.stderr:
        pytest.skip("ptrace is not to be had here")
    return done, (tmp_path / "calls").read_text()


def prepared(name, folder):
    folder.mkdir()
    PRIMITIVES[name].before(str(folder))
    return str(folder)


def calls(text):
    """(call, its number among those of that name in the whole process), of those from the beginning of `use` on, and
    one that comes after it."""
    found, counts, began = [], {}, False
    for name, rest in re.findall(r"^\d+ +(\w+)\((.*)", text, re.MULTILINE):
        counts[name] = counts.get(name, 0) + 1
        if began and name not in ELSEWHERE:
            found.append((name, counts[name]))
        began = began or '"/begins"' in rest
        if '"/has-returned"' in rest:
            return found
    raise AssertionError(f"it did not return: {text[-2000:]}")


@pytest.mark.parametrize("name", PRIMITIVES)
def test_killed_at_every_call(name, tmp_path):
    done, text = traced(tmp_path, name, prepared(name, tmp_path / "whole"))
    assert done.returncode == 0, done.stderr
    check(PRIMITIVES[name], f"{tmp_path}/whole", returned=True)
    found = calls(text)
    assert len(found) > 6 and found[-1][0] in ("access", "faccessat", "faccessat2")
    for call, number in found:
        folder = prepared(name, tmp_path / f"{call}-{number}")
        done, text = traced(tmp_path, name, folder, "-e", f"inject={call}:signal=KILL:when={number}")
        last = text.rstrip().split("\n")[-2]
        assert "+++ killed by SIGKILL" in text and '"/begins"' in text and f" {call}(" in last, (call, number, last)
        check(PRIMITIVES[name], folder, '"/has-returned"' in text)
