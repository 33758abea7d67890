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
from ..ssh.validate import decoded, parse, visible

LAST = 100  # lines of each host that are shown if neither a number nor a time is given
Lines = AsyncIterator[Line]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help=f"the last N lines of each host ({LAST})")
    parser.add_argument("--role", default="", metavar="ROLE", help="only this role: web, worker, beat, …, nginx")
    for name in ("since", "until"):
        parser.add_argument(f"--{name}", type=search.moment, metavar="TIME", help="such as -1h, 14:05 or yesterday")
    parser.add_argument("--level", choices=[level.lower() for level in search.LEVELS], help="this level and above")
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
    logs = Logs(fleet, args)
    if args.role == "nginx":
        await logs.ask_nginx()
    await logs.show()


class Logs:
    """Shows what the hosts' journals have, or nginx's logs. `cut`: hosts with more lines than shown."""

    def __init__(self, fleet: Fleet, args: argparse.Namespace) -> None:
        self.fleet, self.args, self.hosts = fleet, args, fleet.chosen(args.hosts, args.role == "nginx")
        self.running, self.failed, self.cut = list[Process](), list[str](), list[str]()
        self.nginx: dict[str, list[Line]] | None = None
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    async def ask_nginx(self) -> None:
        """Let the agents of web hosts and balancers read nginx's logs, which are files."""
        args = self.args
        if args.follow or args.release:
            raise Refused("nginx's logs know no release, and cannot be followed: leave out -f and --release")
        self.hosts = [host for host in self.hosts if host.balancer or host.has("web")]
        async with Connections(self.fleet, [*self.hosts]) as connections:
            problems = await connections.reach()
            answers, more = await connections.ask("nginx", since=args.since or 0, until=args.until,
                                                  last=args.lines or 0, patterns=search.patterns(args))
        for name, text in (problems | more).items():
            self.failed.append(name)
            await put(visible(on_hosts({name: text})), sys.stderr)
        self.nginx = {name: [Line(at, name, "nginx", raw) for at, raw in found["lines"]]
                      for name, found in answers.items()}
        self.cut = [name for name, found in answers.items() if found["cut"]]

    async def show(self) -> None:
        try:
            if self.args.follow:
                await together(lambda host: self.print(self.lines(host)), self.hosts)
            else:
                await self.print(merged([self.lines(host) for host in self.hosts]), many=500)
        finally:
            await together(lambda one: one.close(0), self.running)
        if self.cut:
            number = f"-n {10 * self.args.lines} or " if self.args.lines else ""
            await put(f"older lines of {', '.join(sorted(self.cut))} are left out: add {number}--since -1h to ARGS",
                      sys.stderr)
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
        if self.nginx is not None:
            found = self.nginx.get(host.name, [])
        elif self.args.follow or not self.args.lines:
            async for line in self.read(host):
                yield line
            return
        else:
            newest = [line async for line in self.read(host)]
            found = newest[:self.args.lines][::-1]
            self.cut += [host.name] if len(newest) > len(found) else []
        for line in found:
            yield line

    async def read(self, host: Host) -> Lines:
        names = [name for role, process in self.fleet.roles.items() if self.args.role in ("", role)
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
