"""From a fresh clone to the first page: ours with one command, beside plain Django by hand. Prints ratios.

    python3 tests/benchmarks/first_page.py [--runs 5]

Both in turn, in one run, as machines are noisy. Cold: package caches emptied (their own, in a scratch folder) before
each; warm: caches kept. Network speed is part of it, so the bytes fetched are said as well.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from side_by_side import report

ROOT = Path(__file__).resolve().parents[2]
BY_HAND = """set -e
python3 -m venv ve
ve/bin/pip install -q django=={version}
ve/bin/django-admin startproject mysite .
ve/bin/python manage.py migrate -v 0
exec ve/bin/python manage.py runserver {port}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def seconds_to_page(command, folder, port, caches):
    """Start the command and poll until the page answers 200; end its whole session. Returns seconds."""
    env = dict(os.environ, XDG_CACHE_HOME=str(caches), PIP_CACHE_DIR=str(caches / "pip"),
               UV_CACHE_DIR=str(caches / "uv"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every later start compile everything again
    start = time.monotonic()
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output,
                                   start_new_session=True)
    try:
        while time.monotonic() < start + 300:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    assert page.status == 200
                    return time.monotonic() - start
            except OSError:
                if process.poll() is not None:
                    raise SystemExit((folder / "output").read_text()) from None
                time.sleep(0.02)
        raise SystemExit("no page within 300 s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def ours(scratch, caches):
    """git clone; make runserver."""
    folder, port = scratch / "ours", free_port()
    start = time.monotonic()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True, timeout=60)
    cloned = time.monotonic() - start
    return cloned + seconds_to_page(["make", "runserver", f"PORT={port}"], folder, port, caches)


def by_hand(scratch, caches):
    """venv, pip install django, startproject, migrate, runserver: six commands a person types, here without pause."""
    folder, port = scratch / "by-hand", free_port()
    folder.mkdir()
    script = BY_HAND.format(version=django_version(), port=port)
    return seconds_to_page(["sh", "-c", script], folder, port, caches)


def django_version():
    """The version our pins name, so that both install the same Django."""
    pins = (ROOT / "requirements.txt").read_text()
    return next(line.split("==")[1].split()[0] for line in pins.splitlines() if line.startswith("django=="))


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def one(run, cold, caches, kind):
    if cold:
        shutil.rmtree(caches / kind, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        return run(Path(scratch), caches / kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as caches:
        caches = Path(caches)
        for cold in (True, False):
            pairs = [(one(ours, cold, caches, "ours"), one(by_hand, cold, caches, "by-hand")) for _ in range(runs)]
            report(f"fresh clone to first page, {'cold' if cold else 'warm'}", "ours", "plain Django", pairs)
        print(f"bytes in the caches: ours {size(caches / 'ours'):,}, plain Django {size(caches / 'by-hand'):,}")


if __name__ == "__main__":
    main()
