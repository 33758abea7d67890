"""Compare the time from a fresh clone to the first page: ours by one command, plain Django by hand. Print ratios.

    python3 tests/benchmarks/first_page.py [--runs 5]

Both run in turn, because machines are noisy. Cold: the package caches, which are in a scratch folder, are emptied
before each run; warm: they are kept. The network's speed counts. At last without a network, with uv on the path.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from proc import ROOT, free_port, output, running, wait_until  # noqa: E402
from side_by_side import report  # noqa: E402

# The commands that a person types, here without a pause.
BY_PIP = "python3 -m venv ve\nve/bin/pip install -q"
BY_UV = "uv venv -q ve\nuv pip install -q --python ve"
BY_HAND = """set -e
{install} django=={version}
ve/bin/django-admin startproject mysite .
ve/bin/python manage.py migrate -v 0
exec ve/bin/python manage.py runserver {port}
"""


def seconds_to_page(command, folder, port, caches):
    """Start the command, poll until the page answers 200, and end the command's session. Return the seconds."""
    env = {**os.environ, "XDG_CACHE_HOME": caches, "PIP_CACHE_DIR": caches / "pip", "UV_CACHE_DIR": caches / "uv"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every later start compile everything again
    start = time.monotonic()
    with running(command, cwd=folder, env=env) as process:
        wait_until(lambda: process.poll() is not None or urlopen(f"http://127.0.0.1:{port}/", timeout=5), 300, "a page")
        assert process.poll() is None, process.output()
        return time.monotonic() - start


def ours(scratch, caches):
    """Measure `git clone` and `make runserver`."""
    port, start = free_port(), time.monotonic()
    output(["git", "clone", "-q", ROOT, scratch / "ours"])
    cloned = time.monotonic() - start
    return cloned + seconds_to_page(["make", "runserver", f"PORT={port}"], scratch / "ours", port, caches)


def by_hand(scratch, caches, install=BY_PIP):
    """Measure plain Django in the version that our pins name, so that both install the same one."""
    version = re.search("^django==([0-9.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    port = free_port()
    script = BY_HAND.format(install=install, version=version, port=port)
    return seconds_to_page(["sh", "-c", script], scratch, port, caches)


def measure_once(measured, cold, caches):
    if cold:
        shutil.rmtree(caches, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        return measured(Path(scratch), caches)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        caches, others = Path(folder, "ours"), Path(folder, "by hand")
        for cold in (True, False):
            pairs = [(measure_once(ours, cold, caches), measure_once(by_hand, cold, others)) for _ in range(runs)]
            report(f"fresh clone to first page, {'cold' if cold else 'warm'}", "ours", "plain Django", pairs)
        by_uv = partial(by_hand, install=BY_UV)
        output(["python3", "-m", "venv", f"{folder}/uv"])
        output([f"{folder}/uv/bin/pip", "install", "-r", ROOT / "slipway/requirements/uv.txt"])
        os.environ["PATH"] += f":{folder}/uv/bin"
        measure_once(by_uv, False, caches)  # fills its cache
        os.environ["UV_OFFLINE"] = "1"
        pairs = [(measure_once(ours, False, caches), measure_once(by_uv, False, caches)) for _ in range(runs)]
        report("fresh clone to first page, warm, without a network", "ours", "plain Django by uv", pairs)


if __name__ == "__main__":
    main()
