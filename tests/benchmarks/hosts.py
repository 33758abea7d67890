"""A deploy to many hosts, which one process plays: the real deployer and protocol, and a stand-in for ssh.

    ve/bin/python tests/benchmarks/hosts.py [--hosts 1 4 32 1000] [--delay 0 100] [--work 1] [--beside FOLDER]

--delay: milliseconds each way. --work: how much of WORK's seconds each step takes on a host, 0 for none. --beside: in
turn with the deployer of another checkout. Needs busybox, as the stand-in for ssh. Each deploy must commit everywhere.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from slipway.deploy import config  # noqa: E402
from deployer.agents import fine  # noqa: E402

SSH = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nexec busybox nc 127.0.0.1 {}\n"
MARK = b"--8<-- slipway\n"
ROUND_TRIPS = 7  # of an ssh connection, from TCP to the first word of what it runs
WORK = {"lock": .1, "pull": .35, "verdicts": .2, "publish": .4, "start": .4, "ready": .9, "flip": .05, "commit": .2}
RECORDS = 100  # in a host's log


class Agent(asyncio.Protocol):
    """A host's end of a connection. Its answers are those of a host on which all is well."""

    def __init__(self, answers, delay, work, committed):
        self.answers, self.delay, self.work, self.committed, self.rest = answers, delay, work, committed, b""

    def connection_made(self, transport):
        self.transport, self.loop, self.lock = transport, asyncio.get_running_loop(), 0
        self.say(MARK, ROUND_TRIPS * 2 * self.delay)

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith((b'{"id": ', b'{"do": ', b'{"abort": ')):  # else it is the agent's text
                self.hear(json.loads(line))

    def hear(self, message):
        do = message.get("do", "abort")
        if do == "alive":
            return self.say(b'{"alive": true}\n')
        if do == "fetch":  # a hint
            return None
        if do == "lock":
            self.lock = message["id"]
            return self.say(MARK, self.seconds(do))
        with self.committed.get_lock():
            self.committed.value += do == "commit"
        number = self.lock if do in ("end", "abort") else message["id"]
        text = self.answers["without"] if message.get("args", {}).get("history") is False else self.answers.get(do)
        self.say(b'{"id": %d, "ok": %s}\n' % (number, text or b"{}"), self.seconds(do))

    def seconds(self, do):
        return 2 * self.delay + self.work * WORK.get(do, 0)

    def say(self, line, seconds=None):
        self.loop.call_later(self.seconds("") if seconds is None else seconds, self.transport.write, line)


def answers(fleet):
    """do → the JSON of a host's answer."""
    found = fine(fleet)
    record = {**found["facts"]["records"][0], "cause": "x" * 100}
    found["facts"]["records"] = [record] * RECORDS
    found["without"] = {**found["facts"], "records": []}
    return {do: json.dumps(answer).encode() for do, answer in found.items()}


def play(listening, made):
    """The process that is all agents."""
    async def serve():
        server = await asyncio.get_running_loop().create_server(made, sock=listening, backlog=4096)
        await server.serve_forever()
    asyncio.run(serve())


@dataclass(frozen=True)
class Run:
    """One deploy: seconds, those of its own CPU, MB of memory at most."""

    seconds: float
    cpu: float
    memory: float


def measure(command, checkout, env):
    """Run a deploy to its end."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, subprocess.Popen(command, cwd=checkout, env=env, stdout=out,
                                                           stderr=out) as process:
        most, cpu = 0, 0.0
        while process.poll() is None:
            most, cpu = looked_at(process.pid, most, cpu)
            time.sleep(0.01)
        seconds = time.monotonic() - began
        out.seek(0)
        assert process.returncode == 0, out.read().decode()[-3000:]
    return Run(seconds, cpu, most / 1024)


def looked_at(pid, most, cpu):
    """(KB of memory, seconds of CPU) so far; those that are known where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(status.partition("VmHWM:")[2].split()[0]),
                sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK"))
    except (OSError, IndexError):
        return most, cpu


class Bench:
    """So many hosts, so far away."""

    def __init__(self, folder, count, delay, work, kind=Agent):
        self.count, self.committed = count, multiprocessing.Value("i", 0)
        listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.config, ssh, self.port = folder / f"{count}.toml", folder / "ssh", listening.getsockname()[1]
        ssh.write_text(SSH.format(self.port))
        ssh.chmod(0o755)
        head = 'app = "shop"\nimage = "registry.example/shop"\nmedia = "bucket"\n[rollout]\ncanary = 0\nbake = 0\n'
        self.config.write_text(head + "".join(
            f'[hosts.web{number}]\naddress = "127.1.{number // 250}.{number % 250 + 1}"\nroles = ["web"]\n'
            for number in range(count)))
        fleet = config.load(self.config, {})
        said = answers(replace(fleet, hosts=fleet.hosts[:1]))
        self.agents = multiprocessing.Process(
            target=play, args=(listening, lambda: kind(said, delay, work, self.committed)), daemon=True)
        self.agents.start()
        listening.close()
        self.env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.env["PATH"] = f"{folder}:{self.env['PATH']}"

    def deploy(self, checkout):
        self.committed.value = 0
        words = [sys.executable, "-m", "slipway.deploy", "--config", self.config, "deploy", "v2"]
        run = measure(words, checkout, self.env)
        assert self.committed.value == self.count, f"{self.committed.value} of {self.count} have committed"
        return run

    def close(self):
        self.agents.terminate()
        self.agents.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 4, 32, 1000])
    parser.add_argument("--delay", type=int, nargs="+", default=[0, 100], metavar="MS")
    parser.add_argument("--work", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beside", type=Path, metavar="FOLDER", help="another checkout")
    args = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # for the agents
    checkouts = {"this": ROOT, **({"other": args.beside.resolve()} if args.beside else {})}
    for delay in args.delay:
        first = {}
        for count in args.hosts:
            with (tempfile.TemporaryDirectory(prefix="hosts", dir="/tmp") as folder,
                  contextlib.closing(Bench(Path(folder), count, delay / 1000, args.work)) as bench):
                series = [{name: bench.deploy(checkout) for name, checkout in checkouts.items()}
                          for _ in range(args.runs)]
            for name in checkouts:
                tell(f"{count} hosts, {delay} ms, {name}", [runs[name] for runs in series], first.setdefault(
                    name, statistics.median(runs[name].seconds for runs in series)))


def tell(title, runs, first):
    """Medians, and the ratio to the first number of hosts."""
    seconds, cpu, memory = (statistics.median(getattr(run, name) for run in runs)
                            for name in ("seconds", "cpu", "memory"))
    print(f"{title}: {seconds:.2f} s ({seconds / first:.2f} of the first), CPU {cpu:.2f} s, {memory:.0f} MB",
          flush=True)


if __name__ == "__main__":
    main()
