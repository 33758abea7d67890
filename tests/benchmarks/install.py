"""Installing the production pins: make's rule beside venv and pip. Prints ratios.

    python3 tests/benchmarks/install.py [--runs 5]
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from side_by_side import report

ROOT = Path(__file__).resolve().parents[2]
BY_HAND = "python3 -m venv ve && ve/bin/pip install -q --require-hashes -r requirements.txt"


def seconds(command, folder, caches):
    env = dict(os.environ, XDG_CACHE_HOME=str(caches), PIP_CACHE_DIR=str(caches / "pip"),
               UV_CACHE_DIR=str(caches / "uv"))
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every later start compile everything again
    shutil.rmtree(folder / "ve", ignore_errors=True)
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=env, check=True, timeout=600, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def pair(folder, caches, cold):
    """One of each, ours first; cold: with empty caches."""
    measured = []
    for kind, command in (("ours", ["make", "ve/sentinel"]), ("by-hand", ["sh", "-c", BY_HAND])):
        if cold:
            shutil.rmtree(caches / kind, ignore_errors=True)
        measured.append(seconds(command, folder, caches / kind))
    return measured


def up_to_date(folder, runs):
    """A target that has nothing to install, beside the bare command it runs; twenty at once as each is so short."""
    def twenty(command):
        start = time.monotonic()
        for _ in range(20):
            subprocess.run(command, cwd=folder, check=True, timeout=60, stdout=subprocess.DEVNULL)
        return (time.monotonic() - start) / 20

    (folder / "local.mk").write_text("nothing: $(VE)/sentinel\n\t@exec true\n")
    return [(twenty(["make", "nothing"]), twenty(["sh", "-c", "exec true"])) for _ in range(runs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        folder, caches = Path(scratch, "clone"), Path(scratch, "caches")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True, timeout=60)
        for cold in (True, False):
            report(f"install of the production pins, {'cold' if cold else 'warm'}", "make", "venv and pip",
                   [pair(folder, caches, cold) for _ in range(runs)])
        subprocess.run(["make", "ve/sentinel"], cwd=folder, check=True, timeout=600)
        pairs = up_to_date(folder, runs)
        added = sorted(1000 * (ours - bare) for ours, bare in pairs)
        print(f"make with nothing to install adds {added[len(added) // 2]:.1f} ms to a command "
              f"({added[0]:.1f} to {added[-1]:.1f})")


if __name__ == "__main__":
    main()
