"""What provisioning does here, as root: shell scripts and whole files. Bytes travel as base64."""

from __future__ import annotations

import base64
import contextlib
import grp
import os
import pwd
import signal
import subprocess

from . import disk
from .answers import Command
from .host import ENVIRONMENT, Host, Problem

MOST = 2**20  # bytes that a script may write to each of stdout and stderr


def command(host: Host, script: str, input: str = "", seconds: float = 600) -> Command:
    """Run a shell script to its end. Raises Problem where it needs more seconds, or writes more than MOST bytes."""
    process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True)
    try:
        out, err = process.communicate(base64.b64decode(input), timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Problem("no end within %g s" % seconds) from None  # the script is not told: it may hold a secret
    if max(len(out), len(err)) > MOST:
        raise Problem("it says more than %d MB" % (MOST // 2**20))
    return {"code": process.returncode, "out": base64.b64encode(out).decode(), "err": base64.b64encode(err).decode()}


def put(host: Host, path: str, content: str, mode: int, owner: str, group: str) -> None:
    """Write a file whole, with its mode and owner."""
    disk.write(path, base64.b64decode(content), mode, ids(owner, group))


def refuse(host: Host, **args: object) -> None:
    """Raise Problem for a message that comes after the lock's end."""
    raise Problem("the lock has ended: see journalctl -u %s" % host.lock)


def ids(owner: str, group: str) -> tuple[int, int]:
    """(uid, gid) of a user and a group, by their names. Raises Problem where there are none."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise Problem(str(error.args[0])) from None
