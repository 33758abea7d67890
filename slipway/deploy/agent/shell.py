"""Run scripts and write files as root, for provisioning. Messages carry bytes as base64."""

from __future__ import annotations

import base64
import contextlib
import grp
import os
import pwd
import signal
import subprocess
from typing import TypedDict

from . import disk
from .host import ENVIRONMENT, Host, Problem
from .message_types import Base64

MOST = 2**20  # bytes that a script may write to stdout, and the same number to stderr


class Command(TypedDict):
    """The end of a shell script: its exit code and output."""

    code: int
    out: Base64
    err: Base64


def command(host: Host, script: str, input: str = "", seconds: float = 600) -> Command:
    """Run a shell script. `input`: stdin in base64. Raise Problem after `seconds`, or if the output is too long."""
    process = subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(base64.b64decode(input), timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Problem(f"a shell script did not end within {seconds:g} s") from None  # hides the script and its secrets
    if max(len(out), len(err)) > MOST:
        raise Problem(f"a shell script prints more than {MOST // 2**20} MB")
    return {"code": process.returncode, "out": base64.b64encode(out).decode(), "err": base64.b64encode(err).decode()}


def put(host: Host, path: str, content: str, mode: int, owner: str, group: str) -> None:
    disk.write(path, base64.b64decode(content), mode, owner_ids(owner, group))


def raise_lock_lost(host: Host, **args: object) -> None:
    raise Problem(f"the lock is lost: see journalctl -u {host.lock}")


def owner_ids(owner: str, group: str) -> tuple[int, int]:
    return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
