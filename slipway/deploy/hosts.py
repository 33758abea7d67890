"""The engine "hosts": on each host an agent starts and stops the app's processes."""

import argparse
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from .agent.shapes import Facts
from .agent.roles import Process
from .config import Fleet, Host
from .env import staging
from .env.staging import Change
from .errors import DeployError, on_hosts
from .rollout import drift, preflight
from .rollout.plan import Options
from .rollout.rollout import Rollout
from .screen import text_tables
from .ssh.connections import Connections
from .ssh.gather import Problems
from .ssh.validate import Tell, brief, visible


@dataclass(frozen=True)
class Hosts:
    fleet: Fleet

    def refuse(self, args: argparse.Namespace) -> None:
        """Do nothing: all commands are supported."""

    def rollout(self, action: str, tag: str, options: Options, args: argparse.Namespace, tell: Tell) -> Rollout:
        return Rollout(self.fleet, self.fleet.chosen(args.hosts), tell, action, tag, options, args.skip_unreachable)

    async def status(self, args: argparse.Namespace) -> int:
        facts, problems = await self.facts(self.fleet.chosen(args.hosts))
        if args.json:
            print(json.dumps({"hosts": facts, "problems": problems}))
            return 1 if problems else 0
        rows = [row for host in self.fleet.hosts if host.name in facts
                for row in text_tables.rows(host, facts[host.name])]
        if problems:
            print(visible(on_hosts(problems)) + "\n")
        for name, found in facts.items():
            if found["lock"]:
                print(visible(f"{name}: locked: {brief(found['lock'])}"))
        print(visible(text_tables.table([text_tables.ROWS, *rows])))
        return 1 if problems else 0

    async def facts(self, hosts: list[Host]) -> tuple[dict[str, Facts], Problems]:
        """Return the agents' findings and all problems, both by host name. An unreachable host has only problems."""
        async with Connections(self.fleet, hosts) as connections:
            problems = await connections.reach()
            facts, others = await connections.facts(paths=lambda host: list(preflight.expected(self.fleet, host)),
                                                    health=lambda host: True)
        problems |= others | drift.problems(self.fleet, connections.hosts, facts)
        return dict(sorted(facts.items())), problems

    async def releases(self, args: argparse.Namespace) -> None:
        async with Connections(self.fleet, self.fleet.chosen(args.hosts)) as connections:
            problems = await connections.reach()
            facts, others = await connections.facts()
        if args.json:
            print(json.dumps({name: found["records"] for name, found in facts.items()}))
        else:
            print(visible(text_tables.table(text_tables.history(facts))))
        if problems | others:
            raise DeployError(on_hosts(problems | others))

    def show_settings(self, args: argparse.Namespace) -> Coroutine[Any, Any, None]:
        return staging.show(Connections(self.fleet, self.fleet.chosen(args.hosts)))

    def stage(self, args: argparse.Namespace, change: Change) -> Coroutine[Any, Any, None]:
        return staging.stage(Connections(self.fleet, self.fleet.chosen(args.hosts)), change)

    def command(self, words: list[str], tty: bool) -> list[str]:
        return ["docker-runner", self.fleet.app, *words]

    def journal(self, process: Process) -> list[str]:
        return [f"{self.fleet.app}-{process.name}{slot}" for slot in (("-a", "-b") if process.overlap else ("",))]
