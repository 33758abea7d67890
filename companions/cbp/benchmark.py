"""cbp beside HAProxy, and beside no proxy: make companion-benchmark NAME=cbp. Needs Debian's nginx, haproxy and wrk.

The service is nginx on the same machine, so all share its CPUs: the ratios count, not the figures."""

import asyncio
import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from proc import free_port, running, wait_until

FOLDER = Path(__file__).resolve().parent
SECONDS, LARGE = 5, 1_000_000_000
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
IDLE = min(10_000, FILES // 2 - 500)  # a proxy has two files open for each
NGINX = """daemon off; pid {folder}/pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections {most}; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_header_timeout 600s; sendfile on;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; location = / {{ return 200 "hello\\n"; }} }} }}
"""
HAPROXY = """global
  maxconn {most}
  nbthread 1
defaults
  mode tcp
  timeout connect 1s
  timeout client 600s
  timeout server 600s
listen it
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{remote} check
"""


@contextlib.contextmanager
def proxies(folder: Path) -> Iterator[list[tuple[str, int, int]]]:
    """nginx and both proxies before it. Yields (name, port, pid) of each."""
    remote, cbp, haproxy = free_port(), free_port(), free_port()
    (folder / "large").touch()
    os.truncate(folder / "large", LARGE)
    (folder / "nginx.conf").write_text(NGINX.format(most=IDLE + 200, folder=folder, port=remote))
    (folder / "haproxy.cfg").write_text(HAPROXY.format(most=IDLE + 200, port=haproxy, remote=remote))
    by_cbp = [sys.executable, "-m", "cbp", "-l", f"127.0.0.1:{cbp}", "-r", f"127.0.0.1:{remote}"]
    with running(["nginx", "-c", folder / "nginx.conf"]) as nginx, running(by_cbp, cwd=FOLDER) as first, \
            running(["haproxy", "-db", "-f", folder / "haproxy.cfg"]) as second:
        for port in (remote, cbp, haproxy):
            wait_until(lambda: fetched(port, "/"))
        yield [("none", remote, nginx.pid), ("cbp", cbp, first.pid), ("HAProxy", haproxy, second.pid)]


def fetched(port: int, path: str) -> float:
    """Seconds that curl took, 0 where it failed."""
    url = f"http://127.0.0.1:{port}{path}"
    done = subprocess.run(["curl", "-sfo", "/dev/null", "-w", "%{time_total}", url], capture_output=True, text=True)
    return 0 if done.returncode else float(done.stdout)


def wrk(port: int, *options: str) -> tuple[float, float]:
    """(requests a second, median ms) of a page."""
    done = subprocess.run(["wrk", f"-d{SECONDS}s", "--latency", *options, f"http://127.0.0.1:{port}/"],
                          capture_output=True, text=True, check=True)
    rate, median = re.search(r"Requests/sec: *([\d.]+)", done.stdout), re.search(r"50% *([\d.]+)(us|ms|s)", done.stdout)
    assert rate and median, done.stdout
    return float(rate[1]), float(median[1]) * {"us": .001, "ms": 1, "s": 1000}[median[2]]


async def idle(port: int, pid: int) -> float:
    """MB that the process takes more while so many clients are connected."""
    before, writers = memory(pid), []
    for _ in range(IDLE // 100):
        opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(100)))
        writers += [writer for _, writer in opened]
    await asyncio.sleep(1)
    more = memory(pid) - before
    for writer in writers:
        writer.close()
    return more


def memory(pid: int) -> float:
    """MB of it and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return (int(own[1]) / 1000 if own else 0) + sum(memory(int(child)) for child in children)


def row(name: str, port: int, pid: int) -> str:
    kept, _ = wrk(port, "-c64", "-t1")
    _, latency = wrk(port, "-c1", "-t1")
    new, _ = wrk(port, "-c64", "-t1", "-H", "Connection: close")
    speed = LARGE / 1e6 / min(fetched(port, "/large") for _ in range(3))
    more = asyncio.run(idle(port, pid))
    return f"| {name} | {new:.0f} | {kept:.0f} | {latency:.3f} ms | {speed:.0f} MB/s | {more:.0f} MB |"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    with tempfile.TemporaryDirectory() as folder, proxies(Path(folder)) as each:
        os.chmod(folder, 0o755)
        print(f"| proxy | connections a second | requests a second | latency | one download | {IDLE} idle |")
        print("|---|---|---|---|---|---|")
        for proxy in each:
            print(row(*proxy), flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
