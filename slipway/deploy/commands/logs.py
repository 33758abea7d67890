import argparse
import heapq
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from ..agent.errors import nginx_name, time_of
from ..config import Fleet, Host
from ..engine import engine_of
from ..errors import DeployError, HostProblem, Refused, on_hosts
from ..log import search
from ..log.lines import raw, shown
from ..screen.display import write
from ..server.files import serves_http
from ..ssh import child
from ..ssh.child import Process, in_thread
from ..ssh.gather import together
from ..ssh.validate import decoded, parse

LAST = 100  # lines of each host that are shown if neither a number nor a time is given
Lines = AsyncIterator[tuple[float, str]]  # time and text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help=f"the last N lines of each host ({LAST})")
    parser.add_argument("--role", default="", metavar="ROLE", help="only this role: web, worker, beat, …, nginx")
    for name in ("since", "until"):
        parser.add_argument(f"--{name}", type=search.moment, metavar="TIME", help="such as -1h, 14:05 or yesterday")
    parser.add_argument("--level", choices=search.LEVELS, help="this level and above")
    parser.add_argument("--grep", default="", metavar="RE", help="only lines with this regular expression")
    parser.add_argument("--release", default="", metavar="TAG", help="only this release's")
    parser.add_argument("--request", default="", metavar="ID", help="only this request's, and its tasks'")
    parser.add_argument("--json", action="store_true", help="print the lines as they are")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    roles = ("", "nginx", *fleet.roles)
    if args.role not in roles:
        raise Refused(f"there is no role {args.role!r}; the roles are: {', '.join(roles[1:])}")
    if args.lines is None and args.since is None and args.until is None:
        args.lines = LAST
    await Logs(fleet, args).show()


class Logs:
    """Shows what the hosts' journals have. `cut`: hosts with more lines than shown."""

    def __init__(self, fleet: Fleet, args: argparse.Namespace) -> None:
        front, engine = args.role == "nginx", engine_of(fleet)
        self.fleet, self.args = fleet, args
        self.hosts = [host for host in fleet.chosen(args.hosts, front) if serves_http(host) or not front]
        self.names = [nginx_name(fleet.app)] if front else [
            name for role in fleet.roles if args.role in ("", role) for name in engine.journal(fleet.roles[role])]
        self.running, self.failed, self.cut = list[Process](), list[str](), list[str]()
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    async def show(self) -> None:
        try:
            if self.args.follow:
                await together(lambda host: self.print(self.read(host)), self.hosts)
            else:
                await self.print(merged([self.lines(host) for host in self.hosts]), many=500)
        finally:
            await together(lambda one: one.close(0), self.running)
        if self.cut:
            await put(f"older lines of {', '.join(sorted(self.cut))} are left out: add -n {10 * self.args.lines} or "
                      "--since -1h to ARGS", sys.stderr)
        if self.failed:
            raise DeployError(f"no logs from {', '.join(sorted(self.failed))}")

    async def print(self, lines: Lines, many: int = 1) -> None:
        """Print lines, `many` at once: a thread for each would take longer than the lines."""
        texts: list[str] = []
        async for _, text in lines:
            texts.append(text)
            if len(texts) >= many:
                await put("\n".join(texts), sys.stdout)
                texts.clear()
        if texts:
            await put("\n".join(texts), sys.stdout)

    async def lines(self, host: Host) -> Lines:
        """Yield a host's lines, oldest first."""
        if not self.args.lines:
            async for line in self.read(host):
                yield line
            return
        newest = [line async for line in self.read(host)]
        self.cut += [host.name] if len(newest) > self.args.lines else []
        for line in newest[:self.args.lines][::-1]:
            yield line

    async def read(self, host: Host) -> Lines:
        words = self.fleet.ssh.command(host.address, search.journalctl(self.names, self.args))
        process = await child.start(words, stdin=subprocess.DEVNULL)
        self.running.append(process)
        try:
            async for line in process.lines():
                entry = parse(line)
                yield time_of(entry), (raw(entry) if self.args.json else
                                       shown(host.name, self.fleet.app, entry, self.coloured))
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        code, said = await process.ended(), decoded(process.err)
        if code and not (code == 1 and not said and search.patterns(self.args)):  # 1: no line fits
            self.failed.append(host.name)
        for text in said.splitlines():
            await put(f"{host.name} | {text}", sys.stderr)


async def merged(streams: Sequence[Lines]) -> Lines:
    """Yield the lines of all streams in the order of their times. Hold only one line of each."""
    firsts = await together(lambda stream: anext(stream, None), streams)
    heads = [(line[0], number, line) for number, line in enumerate(firsts.values()) if line]
    heapq.heapify(heads)
    while heads:
        _, number, line = heads[0]
        yield line
        if following := await anext(streams[number], None):
            heapq.heapreplace(heads, (following[0], number, following))
        else:
            heapq.heappop(heads)


async def put(text: str, out: TextIO) -> None:
    await in_thread(write, f"{text}\n", out)
