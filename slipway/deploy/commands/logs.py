"""The command `logs`."""

import argparse
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence

from ..agent.errors import nginx_name, time_of
from ..agent.host import lines_of
from ..agent.roles import SERVICES
from ..config import Fleet, Host
from ..engine import engine_of
from ..errors import DeployError, HostProblem, Refused, on_hosts
from ..log import search
from ..log.lines import format_entry, one_line
from ..screen.display import put, write
from ..server.files import serves_http
from ..ssh import child
from ..ssh.child import Process, in_thread
from ..ssh.gather import gather
from ..ssh.validate import decoded, parse

MINUTE = 60  # seconds before a request's end in which it began, and after it in which its tasks are searched
MOST = 200  # lines of a request
LAST = 100  # lines of each host that are shown if neither a number nor a time is given
Lines = AsyncIterator[tuple[float, str]]  # time and text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument("-n", "--lines", type=int, metavar="N", help=f"the last N lines of each host ({LAST})")
    parser.add_argument(
        "--role", default="", metavar="ROLE", help="only this role: web, beat, …, nginx, postgres, redis, backup"
    )
    for name, kind in (("since", search.parse_past_moment), ("until", search.parse_moment)):
        parser.add_argument(f"--{name}", type=kind, metavar="TIME", help="such as -1h, 14:05 or yesterday")
    parser.add_argument("--level", choices=search.LEVELS, help="this level and above")
    parser.add_argument(
        "--grep", type=search.check_expression, default="", metavar="RE", help="only lines with this regular expression"
    )
    parser.add_argument("--release", default="", metavar="TAG", help="only this release's")
    parser.add_argument("--request", default="", metavar="ID", help="only this request's, and its tasks'")
    parser.add_argument("--json", action="store_true", help="print the lines as they are")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    services = {service.kind: [service.host] for service in fleet.services}
    if fleet.backup_hosts:
        services["backup"] = fleet.backup_hosts
    roles = ("", "nginx", *fleet.roles, *services)
    if args.role not in roles:
        raise Refused(f"there is no role {args.role!r}; the roles are: {', '.join(roles[1:])}")
    if None not in (args.since, args.until) and args.since > args.until:
        raise Refused("--since is later than --until: there is nothing to show")
    if args.lines is None and args.since is None and args.until is None:
        args.lines = LAST
    logs = Logs(fleet, args)
    front = args.role == "nginx"
    hosts = [host for host in fleet.chosen(args.hosts, front) if serves_http(host) or not front]
    if args.role in services:
        hosts = services[args.role]
    try:
        if args.follow:
            await gather(logs.follow, hosts)
        else:
            async for _, text in merge_by_time([logs.lines(host) for host in hosts]):
                write(f"{text}\n", sys.stdout)  # not in a thread: its start would take longer than the line
    finally:
        await gather(lambda process: process.close(0), logs.running)
    if logs.cut:
        hint = f"add -n {10 * args.lines or LAST} or --since -1h"
        put(f"older lines of {', '.join(sorted(logs.cut))} are left out: {hint}", sys.stderr)
    if logs.failed:
        raise DeployError(f"no logs from {', '.join(sorted(logs.failed))}")


class Logs:
    """Reads the hosts' journals. `cut`: hosts with more lines than asked for."""

    def __init__(self, fleet: Fleet, args: argparse.Namespace) -> None:
        self.fleet = fleet
        self.args = args
        self.command = search.journalctl(names_in_journal(fleet, args.role), args)
        self.running: list[Process] = []
        self.failed: list[str] = []
        self.cut: list[str] = []
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    async def follow(self, host: Host) -> None:
        async for _, text in self.read(host):
            await in_thread(write, f"{text}\n", sys.stdout)

    async def lines(self, host: Host) -> Lines:
        """Yield a host's lines, oldest first."""
        if self.args.lines is None:
            async for line in self.read(host):
                yield line
            return
        newest = [line async for line in self.read(host)]
        self.cut += [host.name] if len(newest) > self.args.lines else []
        for line in newest[: self.args.lines][::-1]:
            yield line

    async def read(self, host: Host) -> Lines:
        process = await child.start(self.fleet.ssh.command(host.address, self.command), stdin=subprocess.DEVNULL)
        self.running.append(process)
        try:
            async for line in process.lines():
                entry = parse(line)
                if self.args.json:
                    text = one_line(entry)
                else:
                    text = format_entry(host.name, self.fleet.app, entry, self.coloured)
                yield time_of(entry), text
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        code = await process.ended()
        output = decoded(process.err)
        if code and not (code == 1 and not output and search.patterns(self.args)):  # 1: no line fits
            self.failed.append(host.name)
        for text in lines_of(output):
            put(f"{host.name} | {text}", sys.stderr)


async def lines_of_request(fleet: Fleet, id: str, at: float) -> list[str]:
    """Return the lines of a request that ended at a time in seconds, and of its tasks, as `slipway logs --request`
    prints them. Raise DeployError if a host does not answer."""
    times = {"since": at - MINUTE, "until": at + 10 * MINUTE}
    args = argparse.Namespace(role="", lines=None, level=None, grep="", release="", request=id, follow=False, **times)
    args.json = False
    logs = Logs(fleet, args)
    logs.coloured = False
    try:
        return [text async for _, text in merge_by_time([logs.lines(host) for host in fleet.chosen("")])][:MOST]
    finally:
        await gather(lambda process: process.close(0), logs.running)


def names_in_journal(fleet: Fleet, role: str) -> list[str]:
    """Return the names by which journalctl finds the lines of a role; of all processes if the role is ""."""
    if role == "nginx":
        return [nginx_name(fleet.app)]
    if role == "backup":
        return [f"{fleet.app}-backup"]
    if role in SERVICES:
        return [f"{fleet.app}-{role}"]
    chosen = [process for name, process in fleet.roles.items() if role in ("", name)]
    return [name for process in chosen for name in engine_of(fleet).journal(process)]


async def merge_by_time(streams: Sequence[Lines]) -> Lines:
    """Yield the lines of all streams in the order of their times. Hold only one line of each."""
    heads = await gather(lambda stream: anext(stream, None), streams)
    while current := {stream: line for stream, line in heads.items() if line}:
        oldest = min(current, key=lambda stream: current[stream][0])
        yield current[oldest]
        heads = {**current, oldest: await anext(oldest, None)}
