"""Processes, ports and waiting, as several tests need them. Everything started here is ended here."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VE_PYTHON = ROOT / "ve/bin/python"


_kept = []


def free_port():
    """A TCP port of the loopback that nobody listens on. Prefer letting a server bind port 0 itself.

    On Linux it stays ours until this process ends: a socket that is bound and does not listen leaves it to a server,
    which like all servers sets SO_REUSEADDR, and keeps it from whoever is given any port at all.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform == "linux")
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    _kept.append(sock) if sys.platform == "linux" else sock.close()
    return port


def answers(port):
    """Whether the site on that port shows a page: the admin's, as a project need not keep the start page."""
    with urllib.request.urlopen(f"http://localhost:{port}/admin/login/", timeout=30) as page:
        return page.status == 200


def wait_until(condition, seconds=60, what=None):
    """Poll `condition` until it returns something true, and return that; fail after `seconds`.

    What it raises of OSError or AssertionError counts as "not yet", and is told when time is up. A condition that takes
    long, as over ssh, is asked half of the time at most: others need the machine.
    """
    deadline = time.monotonic() + seconds
    while True:
        said, began = None, time.monotonic()
        try:
            value = condition()
            if value:
                return value
        except (OSError, AssertionError) as error:
            said = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition.__name__}: {said!r}") from said
        time.sleep(min(max(0.02, time.monotonic() - began), 0.25))


def run(command, timeout=300, **options):
    """Run to the end, with stdout and stderr kept as text and no stdin; never raises for an exit code."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([str(word) for word in command], timeout=timeout, text=True, errors="replace", **options)


def as_mortal(command):
    """The command without root's right to read and write everywhere; needs setpriv of util-linux where run by root."""
    caps = "-dac_override,-dac_read_search"
    mortal = ["setpriv", f"--inh-caps={caps}", f"--bounding-set={caps}"]
    return [*(mortal if os.geteuid() == 0 else []), *command]


@contextlib.contextmanager
def running(command, grace=10, **options):
    """A process in a session of its own while the block runs; afterwards its whole group is ended, TERM then KILL.

    Yields the Popen, with `.output()`: all that it wrote so far to stdout and stderr.
    """
    with tempfile.TemporaryFile() as file:
        options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT, **options}
        process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
        process.output = lambda: os.pread(file.fileno(), 10_000_000, 0).decode(errors="replace")
        try:
            yield process
        except Exception as error:  # a wait that was in vain does not know why
            error.add_note(f"{process.args}, {state(process)}, had said:\n{process.output()[-3000:]}")
            raise
        finally:
            end(process, grace)


def state(process):
    return "which runs" if process.poll() is None else f"ended with {process.returncode}"


def end(process, grace=10):
    """End a process that leads its own group, and the group: TERM, after `grace` seconds KILL."""
    signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    signal_group(process, signal.SIGKILL)
    process.wait(10)


def signal_group(process, number):
    """Send a signal to the group that `process` leads; nothing when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        os.killpg(process.pid, number)
