import argparse
import heapq
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TextIO

from ..config import Fleet, Host
from ..engine import engine_of
from ..errors import DeployError, HostProblem, Refused, on_hosts
from ..log import search
from ..log.lines import Line, from_journal, shown
from ..screen.display import write
from ..ssh import child
from ..ssh.child import Process, in_thread
from ..ssh.connections import Connections
from ..ssh.gather import together
from ..ssh.validate import decoded, parse

LAST = 100  # lines of each host that are shown if neither a number nor a time is given
Lines = AsyncIterator[Line]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help=f"the last N lines of each host ({LAST})")
    parser.add_argument("--role", default="", metavar="ROLE", help="only this role: web, worker, beat, …, nginx")
    for name in ("since", "until"):
        parser.add_argument(f"--{name}", type=search.when, metavar="TIME", help="such as -1h, 14:05 or yesterday")
    parser.add_argument("--level", choices=[level.lower() for level in search.LEVELS], help="this level and above")
    parser.add_argument("--grep", default="", metavar="RE", help="only lines with this regular expression")
    parser.add_argument("--release", default="", metavar="TAG", help="only this release's")
    parser.add_argument("--request", default="", metavar="ID", help="only this request's, and its tasks'")
    parser.add_argument("--json", action="store_true", help="print the lines as they are")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    roles = ("", "nginx", *fleet.processes)
    if args.role not in roles:
        raise Refused(f"there is no role {args.role!r}; the roles are: {', '.join(roles[1:])}")
    if args.lines is None and args.since is None and args.until is None:
        args.lines = LAST
    shows = Nginx(fleet, args) if args.role == "nginx" else Journals(fleet, args)
    await shows.show()


class Journals:
    """Shows the processes' logs, which the hosts' journals have. `cut`: hosts with more lines than shown."""

    def __init__(self, fleet: Fleet, args: argparse.Namespace) -> None:
        self.fleet, self.args, self.hosts = fleet, args, fleet.chosen(args.hosts)
        self.running, self.failed, self.cut = list[Process](), list[str](), list[str]()
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    async def show(self) -> None:
        try:
            if self.args.follow:
                await together(lambda host: self.print(self.lines(host)), self.hosts)
            else:
                await self.print(merged([self.lines(host) for host in self.hosts]), many=500)
        finally:
            await together(lambda one: one.close(0), self.running)
        if self.cut:
            await put(f"only the last {self.args.lines} lines of {', '.join(sorted(self.cut))}: add"
                      f" -n {10 * self.args.lines} or --since -1h to ARGS for more", sys.stderr)
        if self.failed:
            raise DeployError(f"no logs from {', '.join(sorted(self.failed))}")

    async def print(self, lines: Lines, many: int = 1) -> None:
        """Print lines, `many` at once: a thread for each would take longer than the lines."""
        texts: list[str] = []
        try:
            async for line in lines:
                texts.append(line.raw if self.args.json else shown(line, self.coloured))
                if len(texts) >= many:
                    await put("\n".join(texts), sys.stdout)
                    texts = []
        finally:
            if texts:
                await put("\n".join(texts), sys.stdout)

    async def lines(self, host: Host) -> Lines:
        """Yield a host's lines, oldest first."""
        if self.args.follow or not self.args.lines:
            async for line in self.read(host):
                yield line
            return
        newest = [line async for line in self.read(host)]
        if len(newest) > self.args.lines:
            self.cut.append(host.name)
        for line in reversed(newest[:self.args.lines]):
            yield line

    async def read(self, host: Host) -> Lines:
        names = [name for role, process in self.fleet.processes.items() if self.args.role in ("", role)
                 for name in engine_of(self.fleet).journal(process)]
        words = search.journalctl(names, self.args)
        process = await child.start(self.fleet.ssh.command(host.address, words), stdin=subprocess.DEVNULL)
        self.running.append(process)
        try:
            async for line in process.lines():
                yield from_journal(host.name, self.fleet.app, parse(line))
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        code, said = await process.ended(), decoded(process.err)
        if code and not (code == 1 and not said and search.patterns(self.args)):  # 1: no line fits
            self.failed.append(host.name)
        for text in said.splitlines():
            await put(f"{host.name} | {text}", sys.stderr)


class Nginx(Journals):
    """Shows nginx's errors, and the requests that it answered with 5xx; its logs are files, which agents read."""

    def __init__(self, fleet: Fleet, args: argparse.Namespace) -> None:
        super().__init__(fleet, args)
        if args.follow or args.release:
            raise Refused("nginx's logs know no release, and cannot be followed: leave out -f and --release")
        self.hosts = [host for host in fleet.chosen(args.hosts, balancers=True) if host.balancer or host.has("web")]
        self.found: dict[str, list[Line]] = {}

    async def show(self) -> None:
        async with Connections(self.fleet, [*self.hosts]) as connections:
            problems = await connections.reach()
            words = {"since": self.args.since or 0, "until": self.args.until, "last": self.args.lines or 0,
                     "patterns": search.patterns(self.args)}
            answers, more = await connections.ask("nginx", **words)
        self.found = {name: [Line(at, name, "nginx", raw) for at, raw in answer["lines"]]
                      for name, answer in answers.items()}
        self.cut = [name for name, answer in answers.items() if answer["cut"]]
        await super().show()
        if problems | more:
            raise DeployError(on_hosts(problems | more))

    async def lines(self, host: Host) -> Lines:
        for line in self.found.get(host.name, []):
            yield line


async def merged(streams: Sequence[Lines]) -> Lines:
    """Yield the lines of all streams in the order of their times. Hold only one line of each."""
    firsts = await together(lambda stream: anext(stream, None), streams)
    heads = [(line.at, number, line) for number, line in enumerate(firsts.values()) if line]
    heapq.heapify(heads)
    while heads:
        _, number, line = heads[0]
        yield line
        if following := await anext(streams[number], None):
            heapq.heapreplace(heads, (following.at, number, following))
        else:
            heapq.heappop(heads)


async def put(text: str, out: TextIO) -> None:
    await in_thread(write, f"{text}\n", out)
