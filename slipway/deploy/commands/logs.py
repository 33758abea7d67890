import argparse
import subprocess
import sys
from typing import TextIO

from ..config import Fleet, Host
from ..engine import engine_of
from ..errors import DeployError, HostProblem, Refused, on_hosts
from ..screen.display import write
from ..ssh import child
from ..ssh.child import Process, in_thread
from ..ssh.gather import together
from ..ssh.validate import decoded, visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="the last N lines of each host (100)")
    parser.add_argument("--role", default="", metavar="ROLE", help="only this role: web, worker, beat, …")
    parser.add_argument("--since", default="", metavar="TIME", help="as for journalctl, such as '1 hour ago'")


def command(fleet: Fleet, args: argparse.Namespace) -> list[str]:
    if args.role and args.role not in fleet.roles:
        raise Refused(f"there is no role {args.role!r}; the roles are: {', '.join(fleet.roles)}")
    names = [name for role, process in fleet.roles.items() if args.role in ("", role)
             for name in engine_of(fleet).journal(process)]
    return ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(args.lines), *(["-f"] if args.follow else []),
            *(["--since", args.since] if args.since else []), *(word for name in names for word in ("-t", name))]


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    words = command(fleet, args)
    running: dict[str, Process] = {}
    hosts = fleet.chosen(args.hosts)

    async def show(host: Host) -> int | None:
        running[host.name] = shown = await child.start(
            fleet.ssh.command(host.address, words), stdin=subprocess.DEVNULL)
        try:
            async for line in shown.lines():
                await put(host.name, line[:-1].decode(errors="replace"), sys.stdout)
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        code = await shown.ended()
        for text in decoded(shown.err).splitlines():
            await put(host.name, text, sys.stderr)
        return code
    try:
        failed = [host.name for host, code in (await together(show, hosts)).items() if code]
    finally:
        await together(lambda one: one.close(0), running.values())
    if failed:
        raise DeployError(f"no logs from {', '.join(failed)}")


async def put(host: str, line: str, out: TextIO) -> None:
    await in_thread(write, visible(f"{host} | {line}\n"), out)
