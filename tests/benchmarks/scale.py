"""Deploy to many servers that are played, each 100 ms away: seconds, and the deployer's CPU, memory and descriptors.

    ve/bin/python tests/benchmarks/scale.py [--hosts 1 32 200 1000] [--runs 3]

The deployer and its processes are real, but instead of ssh each is a socat to this program, which answers as an agent
on a healthy server does, and takes no time besides. Opening a connection takes four times 100 ms, as ssh's does.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from deployer.agents import Agent, fine  # noqa: E402
from proc import executable  # noqa: E402
from slipway.deploy.config import load  # noqa: E402
from slipway.deploy.ssh.bootstrap import MARK  # noqa: E402

AWAY = 0.1  # seconds until an answer
OPEN = 4 * AWAY
SSH = '#!/bin/sh\nexec socat - UNIX-CONNECT:"$PLAYED"\n'
FLEET = """
app = "shop"
image = "registry.example/shop"
media = "none"
[rollout]
canary = 0
bake = 0
"""


def played(answers):
    """Return what serves one connection of the deployer."""

    async def serve(reader, writer):
        agent = Agent(answers)
        await asyncio.sleep(OPEN)
        writer.write(MARK + b"\n")
        loop = asyncio.get_running_loop()
        while line := await reader.readline():
            for answer in agent(json.loads(line)):
                loop.call_later(AWAY, writer.write, answer)
        writer.close()

    return serve


async def watch(pid):
    """Return what a process used until its end: CPU seconds, megabytes and file descriptors at most."""
    folder, cpu, megabytes, descriptors = Path(f"/proc/{pid}"), 0, 0, 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while memory := re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text()):  # a zombie has none
            megabytes = int(memory[1]) / 1000
            ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
            cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
            descriptors = max(descriptors, len(os.listdir(folder / "fd")))
            await asyncio.sleep(0.05)
    return cpu, megabytes, descriptors


async def deploy(folder, count):
    """Deploy to so many servers. Return the seconds, and what the deployer used."""
    hosts = [f'[hosts.web{number}]\nroles = ["web"]\n' for number in range(count)]
    config = folder / "production.toml"
    config.write_text(FLEET + "".join(hosts))
    socket = str(folder / "played")
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PLAYED": socket}
    words = [sys.executable, "-m", "slipway.deploy", "--config", config, "deploy", "v2"]
    serve = played(fine(load(config, {})))
    async with await asyncio.start_unix_server(serve, socket, backlog=1000, limit=1 << 20):
        began = time.monotonic()
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(*words, env=env, cwd=ROOT, **pipes)
        used, (_, said) = await asyncio.gather(watch(process.pid), process.communicate())
        seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(f"{count} hosts: exit {process.returncode}\n{said.decode()[-3000:]}")
    return seconds, *used


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 32, 200, 1000])
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    first = None
    print("| servers | seconds | ratio | CPU s | MB | descriptors |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        executable(Path(folder) / "ssh", SSH)
        for count in args.hosts:
            runs = [asyncio.run(deploy(Path(folder), count)) for _ in range(args.runs)]
            seconds, cpu, megabytes, descriptors = map(median, zip(*runs, strict=True))
            first = first or seconds
            cells = f"{seconds:.1f} | {seconds / first:.2f} | {cpu:.1f} | {megabytes:.0f} | {descriptors:.0f}"
            print(f"| {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
