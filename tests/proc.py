"""Processes, ports and waiting for several tests. Every process started here is ended here."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VE_PYTHON = Path(sys.executable)
UV = shutil.which("uv") or str(ROOT / "var/uv/bin/uv")


_kept = []


def free_port():
    """Return a free TCP port of the loopback. Prefer to let a server bind port 0 itself.

    On Linux it stays reserved until this process ends: a bound socket that does not listen lets a server with
    SO_REUSEADDR use the port, which all servers set, but keeps the port from being given to anybody else.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform == "linux")
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    if sys.platform == "linux":
        _kept.append(sock)
    else:
        sock.close()
    return port


def answers(port):
    """Return True if the site on that port shows the admin, as a project need not keep the start page."""
    with urllib.request.urlopen(f"http://localhost:{port}/admin/login/", timeout=30) as page:
        return page.status == 200


def wait_until(condition, seconds=120, what=None):
    """Poll `condition` until it is true, and return its value. Fail after `seconds`.

    An OSError or AssertionError of it counts as "not yet", and is reported at the timeout. A slow condition, for
    example over ssh, runs at most half of the time, because other processes need the machine.
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


def run(command, timeout=900, check=False, **options):
    """Run a command to its end, without stdin. Return its stdout and stderr as text. With `check`, a failure raises."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    words = [str(word) for word in command]
    return subprocess.run(words, timeout=timeout, check=check, text=True, errors="replace", **options)


def python(*words, **options):
    """Run this virtualenv's Python to its end. Return the finished process."""
    return run([sys.executable, *words], **options)


def output(command, timeout=900, **options):
    """Run a command to its end, which must be a success. Return its stdout."""
    return passed(run(command, timeout, **options)).stdout


def passed(done):
    """Return a finished process, which must be a success."""
    assert done.returncode == 0, f"{done.args}:\n{(done.stdout + done.stderr)[-3000:]}"
    return done


def words_of(done):
    """Return what a finished process wrote to stderr, without the lines in which make says that a step still lasts:
    on a busy machine there may be some."""
    return re.sub(r"(?m)^make: still .*\n", "", done.stderr)


def refusal(done):
    """Return the one line in which make says why it fails. Lines of its progress may come before."""
    lines = [
        line
        for line in re.sub(r"(?m)^\S+: \*\*\* (?=make: )", "", words_of(done)).splitlines()
        if "***" not in line and not line.startswith(("make: installing", "make: waiting"))
    ]
    assert done.returncode == 2 and len(lines) == 1, done.stdout + done.stderr
    return lines[0]


def put_into_git(folder):
    """Make the folder a repository with all its files committed."""
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "core.hooksPath=/dev/null"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        output([*git, *words], cwd=folder)


def put(path, text=""):
    """Write a file, and make its folder if it is missing. Return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def executable(path, text):
    """Write an executable file, and its folder. Return its path."""
    put(path, text).chmod(0o755)
    return path


def append(path, text):
    """Add text to the end of a file."""
    with open(path, "a") as file:
        file.write(text)


def edit(path, old, new, count=1):
    """Replace the first `count` of a text that the file contains."""
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, count))


def as_mortal(command):
    """Return the command without root's right to read and write everything; as root it needs util-linux's setpriv."""
    caps = "-dac_override,-dac_read_search"
    mortal = ["setpriv", f"--inh-caps={caps}", f"--bounding-set={caps}"]
    return [*(mortal if os.geteuid() == 0 else []), *command]


@contextlib.contextmanager
def running(command, **options):
    """Run a process in its own session for the block. At the end, its whole group gets TERM, then KILL.

    Yield the Popen, with `.output()`: all its stdout and stderr so far.
    """
    with tempfile.TemporaryFile() as file:
        options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT, **options}
        process = subprocess.Popen([str(word) for word in command], start_new_session=True, **options)
        process.output = lambda: os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
        try:
            yield process
        except Exception as error:  # a failed wait does not show why
            error.add_note(f"{process.args}, exit {process.poll()}, had said:\n{process.output()[-3000:]}")
            raise
        finally:
            end(process)


def end(process):
    """End a process that leads its own group, and the group: with TERM, and after ten seconds with KILL."""
    signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    signal_group(process, signal.SIGKILL)
    process.wait(10)


def signal_group(process, number):
    """Send a signal to the group that `process` leads, if it still exists."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        os.killpg(process.pid, number)
