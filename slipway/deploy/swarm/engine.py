"""The engine "swarm". slipway/deploy/hosts.py describes the methods that both engines have."""

import argparse
import dataclasses
import json
from dataclasses import dataclass

from .. import file_status
from ..agent.host import lines_of
from ..agent.roles import Process
from ..config import Fleet
from ..env.changes import next_settings
from ..env.staging import Change, lines
from ..errors import HostProblem, Refused, on_hosts
from ..rollout.plan import Options
from ..screen import text_tables
from ..ssh.connections import Connections
from ..ssh.validate import Tell, visible
from . import state
from .manager import NAME, Manager
from .rollout import Rollout
from .stack import digest_of, secret

# Commands that Swarm does not support, and what to do; OPTIONS are options that it does not support.
ELSEWHERE = "which runs no database: back it up where it is"
OF_HOSTS = {
    **dict.fromkeys(("watch", "errors"), "which has no agent: look by slipway status and logs"),
    **dict.fromkeys(("backup", "backups", "restore", "drill", "dump"), ELSEWHERE),
    "upgrade": "which runs no Postgres or Redis: upgrade them where they are",
    "dbshell": "which runs no Postgres: slipway run manage dbshell opens the one elsewhere",
}
OPTIONS = ("skip_unreachable", "allow_incompatible", "allow_locks", "parallel", "live")


@dataclass(frozen=True)
class Swarm:
    """The engine of production.toml's `kind = "swarm"`: Docker Swarm."""

    fleet: Fleet

    def refuse(self, args: argparse.Namespace) -> None:
        if args.command in OF_HOSTS:
            raise Refused(f'{args.command} does not work with engine.kind = "swarm", {OF_HOSTS[args.command]}')
        words = [f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(args, name, None) not in (None, False)]
        words += ["--hosts"] if args.hosts and args.command not in ("logs", "provision") else []
        if words:
            raise Refused(f'{words[0]} does not work with engine.kind = "swarm": docs/swarm.md lists what else')

    def rollout(self, action: str, tag: str, options: Options, args: argparse.Namespace, tell: Tell) -> Rollout:
        return Rollout(self.fleet, tell, action, tag)

    async def status(self, args: argparse.Namespace) -> int:
        seen = await Manager(self.fleet).state()
        async with Connections(self.fleet, [*self.fleet.hosts]) as connections:
            unreached = await connections.reach()
            of_files = await file_status.problems(self.fleet, connections, connections.hosts)
        problems = [*state.problems(seen), *lines_of(on_hosts(unreached | of_files))]
        if args.json:
            services = {
                name: {**dataclasses.asdict(service), "release": service.tag} for name, service in seen.services.items()
            }
            print(json.dumps({"services": services, "problems": problems}))
        else:
            print(visible("\n".join([*problems, text_tables.table([*state.rows(seen)])])))
        return 1 if problems else 0

    async def releases(self, args: argparse.Namespace) -> None:
        """Show the releases kept for a rollback, then the live one."""
        kept = (await Manager(self.fleet).state()).releases
        rows = [
            ("release", "image", "by"),
            *((release.tag, release.image.partition("@")[2][:19], release.who) for release in kept),
        ]
        print(json.dumps([release._asdict() for release in kept]) if args.json else visible(text_tables.table(rows)))

    async def show_settings(self, args: argparse.Namespace) -> None:
        manager = Manager(self.fleet)
        seen = await manager.state()
        current = await manager.settings(seen.releases[-1].settings if seen.releases else "")
        try:
            shown = lines(current, await manager.settings(seen.settings))
        except HostProblem as problem:
            raise Refused(f"{NAME}: {problem}") from None
        print("\n".join([f"{NAME}:", *(shown or ["  nothing set"])]))

    async def stage(self, args: argparse.Namespace, change: Change) -> None:
        """Store settings as a new Docker config, and files as Docker secrets, for the next deploy."""
        manager = Manager(self.fleet)
        newest = (await manager.state()).settings
        try:
            text = next_settings(await manager.settings(newest), None, change.values, change.unset)
            for name, content in change.files.items():
                await manager.keep("secret", secret(self.fleet, name), content)
            name = f"{self.fleet.app}.settings.{state.number(newest) + 1}.{digest_of(text)}"
            await manager.keep("config", name, text.encode())
        except HostProblem as problem:
            raise Refused(f"{NAME}: {problem}") from None
        print(f"{change.done}: live with the next deploy")

    def command(self, words: list[str], tty: bool) -> list[str]:
        options = "-it" if tty else "-i"
        script = (
            'one=$(docker ps --quiet --filter "name=^$1_($2)[.]" --filter label=slipway.id'
            " --filter status=running | head -n 1)\n"
            '[ -n "$one" ] || { echo "no container of $1 runs on this host: see slipway status" >&2; exit 69; }\n'
            f'shift 2; exec docker exec {options} "$one" ./docker-run.sh "$@"'
        )
        return ["sh", "-c", script, "sh", self.fleet.app, "|".join(self.fleet.processes), *words]

    def journal(self, process: Process) -> list[str]:
        return [f"{self.fleet.app}-{process.name}"]
