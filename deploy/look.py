"""status, releases, logs, run and prune as they are typed: what looks at the hosts, or does one thing there."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from . import preflight, process, status
from .answers import visible
from .config import Fleet, Host
from .connections import Connections, report
from .display import write
from .errors import DeployError, HostProblem, Refused, on_hosts
from .gather import Problems, together
from .lock import who
from .plan import Step
from .process import Process, in_thread
from .shapes import Facts
from .ssh import Ssh

RED, PLAIN = "\033[31m", "\033[0m"


async def show_status(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], args: argparse.Namespace) -> int:
    """Exit code 1 when anything is not as it should be."""
    facts, problems = await facts_of(fleet, ssh, hosts, health=True)
    there = [host for host in hosts if host.name in facts]
    if args.json:
        print(json.dumps({"hosts": facts, "problems": problems}))
        return 1 if problems else 0
    lines = [row for host in there for row in status.rows(fleet, host, facts[host.name])]
    print(visible(status.table([status.ROWS, *lines])))
    for name, found in facts.items():
        if found["lock"]:
            print(visible(f"{name}: locked: {found['lock']}"))
    if problems:
        red, plain = (RED, PLAIN) if sys.stdout.isatty() else ("", "")
        print(red + visible(on_hosts(problems)) + plain)
    return 1 if problems else 0


async def facts_of(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], **more: Any) -> tuple[dict[str, Facts], Problems]:
    """(host name → facts, host name → problems: those that can't be asked are only there)."""
    async with silent(fleet, ssh, hosts) as connections:
        problems = await connections.reach()
        facts, others = await connections.look(paths=lambda host: list(preflight.expected(fleet, host)),
                                               **{key: lambda host, value=value: value for key, value in more.items()})
    problems |= others | status.drift(fleet, connections.hosts, facts)
    return dict(sorted(facts.items())), problems


def silent(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host]) -> Connections:
    """Connections that tell nobody."""
    return Connections(fleet, ssh, list(hosts), lambda event: None)


async def show_releases(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], args: argparse.Namespace) -> None:
    async with silent(fleet, ssh, hosts) as connections:
        problems = await connections.reach()
        facts, others = await connections.look()
    if args.json:
        print(json.dumps({name: found["records"] for name, found in facts.items()}))
    else:
        print(visible(status.table(status.history(facts))))
    for name, found in facts.items():
        if found["torn"]:
            print(f"{name}: {found['torn']} lines of releases.log are torn, and left out", file=sys.stderr)
    if problems | others:
        raise DeployError(on_hosts(problems | others))


async def show_logs(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], args: argparse.Namespace) -> None:
    """What web, worker and beat of the hosts log, each line after its host's name."""
    names = [f"{fleet.app}-{name}" for name in ("web-a", "web-b", "worker-a", "worker-b", "beat")
             if name.startswith(args.role)]
    words = ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(args.lines), *(["-f"] if args.follow else []),
             *(["--since", args.since] if args.since else []), *(word for name in names for word in ("-t", name))]
    running: dict[str, Process] = {}

    async def show(host: Host) -> int | None:
        shown = running[host.name] = await process.start(ssh.command(host.address, words), stdin=subprocess.DEVNULL,
                                                         stderr=None)
        try:
            async for line in shown.lines():
                text = visible(f"{host.name} | {line.decode(errors='replace').rstrip(chr(10))}")
                await in_thread(write, text + "\n", sys.stdout)
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        return await shown.ended()
    try:
        failed = [host.name for host, code in (await together(show, hosts)).items() if code]
    finally:
        await together(lambda one: one.close(0), running.values())
    if failed:
        raise DeployError(f"no logs from {', '.join(failed)}")


async def run_command(fleet: Fleet, ssh: Ssh, args: argparse.Namespace) -> int | None:
    """A one-off command in the release that is live on a host; exits as the command does."""
    host = next((host for host in fleet.app_hosts if host.name == args.host), None)
    if host is None:
        raise Refused(f"there is no host {args.host!r}; there are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("what shall be run? make run HOST=web1 ARGS='manage showmigrations'")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    running = await process.start(ssh.command(host.address, ["docker-runner", fleet.app, *words], tty=tty), stdin=None,
                                  stdout=None, stderr=None, start_new_session=False)
    try:
        return await running.ended()
    finally:
        await running.close(0)


async def prune(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], args: argparse.Namespace) -> None:
    """Remove images that neither TAG nor REVERT nor a slot needs."""
    async with silent(fleet, ssh, hosts) as connections:
        await connections.reach_all()
        await connections.lock(who("prune"))
        step = Step("prune", tuple(host.name for host in connections.hosts), {"image": fleet.image})
        try:
            answers = await connections.run([step])
        except HostProblem as problem:
            raise DeployError(report(problem)) from None
        finally:
            await connections.release()
    for (_, name), answer in sorted(answers.items()):
        print(visible(f"{name}: removed {', '.join(answer['removed']) or 'nothing'}"))
