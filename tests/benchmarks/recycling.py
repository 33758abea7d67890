"""What visitors notice when gunicorn's workers end after max_requests and others follow.

    python3 tests/benchmarks/recycling.py [--seconds 20] [--requests 2000] [--jitter 1000]

Needs wrk. It asks production's site over its port for /healthz, and compares the 99th percentile of a run in which
workers are recycled with that of one in which none is.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from ops.served import serve  # noqa: E402
from postgresql import migrate  # noqa: E402

MS = {"us": .001, "ms": 1, "s": 1000, "m": 60_000}


def load(port, seconds):
    """{"p99": ms, "longest": ms, "a second": requests, "failed": requests} of eight visitors."""
    done = subprocess.run(["wrk", "-t1", "-c8", f"-d{seconds}", "--latency", "-H", "Connection: close",
                           f"http://127.0.0.1:{port}/healthz"], capture_output=True, text=True, check=True)
    told = {name: float(number) * MS[unit] for name, number, unit in (
        ("p99", *re.search(r" 99%\s+([\d.]+)(\w+)", done.stdout).groups()),
        ("longest", *re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(\w+)", done.stdout).groups()))}
    errors = re.search(r"Socket errors: (.*)", done.stdout)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    return {**told, "a second": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]),
            "failed": sum(map(int, re.findall(r"\d+", errors[1]))) if errors else 0,
            "refused": int(refused[1]) if refused else 0}


def measured(folder, url, seconds, *arguments):
    """A line of the table."""
    with serve(folder, "", arguments, stderr=subprocess.DEVNULL, DJANGO_SETTINGS_MODULE="project.settings_docker",
               ROLE="web", SITE_URL="http://localhost", SECRET_KEY="0123456789abcdef" * 4, DATABASE_URL=url,
               BROKER_URL="", WEB_CONCURRENCY="3") as site:
        load(site.port, 2)
        return load(site.port, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("seconds", 20), ("requests", 2000), ("jitter", 1000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/db.sqlite3"
        migrate(url)
        for name, number, jitter in (("none", 0, 0), ("recycled", options.requests, options.jitter),
                                     ("recycled together", options.requests, 0)):
            found = measured(Path(folder), url, options.seconds, "--max-requests", str(number),
                             "--max-requests-jitter", str(jitter))
            print(name, {key: round(value, 1) for key, value in found.items()}, flush=True)


if __name__ == "__main__":
    main()
