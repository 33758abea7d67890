"""The engine "hosts": on each host an agent starts and stops the app's processes."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import backup_status, file_status, service_status
from .agent.backups import Backups
from .agent.certificates import SOON, expiring_lines
from .agent.host import lines_of
from .agent.message_types import Facts
from .agent.roles import Process
from .agent.services import ServiceFacts
from .config import Fleet, Host
from .env import staging
from .env.staging import Change
from .errors import DeployError, on_hosts
from .rollout import drift, preflight
from .rollout.plan import Options
from .rollout.rollout import Rollout
from .screen import commits, text_tables
from .server import backups
from .server.site import ends_tls
from .ssh.connections import Connections
from .ssh.gather import Problems, gathered, texts
from .ssh.validate import Tell, first_line, visible


@dataclass(frozen=True)
class Hosts:
    """The engine of production.toml's `kind = "hosts"`: each server with its own Docker."""

    fleet: Fleet

    def refuse(self, args: argparse.Namespace) -> None:
        """Raise Refused if the engine does not support the command or one of its options: this one supports all."""

    def rollout(self, action: str, tag: str, options: Options, args: argparse.Namespace, tell: Tell) -> Rollout:
        """Return a deploy or rollback (`action`) to the release `tag`. If `tag` is "", use the previous release."""
        return Rollout(self.fleet, self.fleet.chosen(args.hosts), tell, action, tag, options, args.skip_unreachable)

    async def status(self, args: argparse.Namespace) -> int:
        """Show what runs where. Return 1 if there are problems, else 0."""
        chosen = self.fleet.chosen(args.hosts, balancers=True)
        async with Connections(self.fleet, chosen) as connections:
            problems = await connections.reach()
            facts = await self.facts(connections, problems)
            soon = await self.certificates(connections, problems)
            services = await self.services(connections, problems)
            backup, about_backups = await self.backups(connections, problems)
        if args.json:
            print(json.dumps({"hosts": facts, "services": services, "backups": backup, "problems": problems}))
            return 1 if problems else 0
        rows = [
            row for host in self.fleet.hosts if host.name in facts for row in text_tables.rows(host, facts[host.name])
        ]
        rows += [row for name, kinds in services.items() for row in text_tables.service_rows(name, kinds)]
        if problems:
            print(visible(on_hosts(problems)) + "\n")
        for name, host_facts in facts.items():
            if host_facts["lock"]:
                print(visible(f"{name}: locked: {first_line(host_facts['lock'])}"))
        tasks = dict.fromkeys(first_line(text) for host_facts in facts.values() for text in host_facts["tasks"])
        notes = [*preflight.notes(facts), *soon, *about_backups, *tasks]
        print(visible("\n".join([text_tables.table([text_tables.ROWS, *rows]), *notes])))
        return 1 if problems else 0

    async def facts(self, connections: Connections, problems: Problems) -> dict[str, Facts]:
        """Return the agents' findings on the app's hosts, by host name. Add what is wrong to the problems."""
        hosts = [host for host in connections.hosts if host.roles]
        facts, unanswered = await gathered(
            hosts,
            lambda host: connections.connections[host.name].ask(
                "facts", paths=list(preflight.expected_files(self.fleet, host)), health=True
            ),
        )
        answered = [host for host in hosts if host.name in facts]
        problems.update(texts(unanswered) | drift.problems(self.fleet, answered, facts))
        others = [host for host in connections.hosts if not host.roles]
        problems.update(await file_status.problems(self.fleet, connections, others))
        return dict(sorted(facts.items()))

    async def certificates(self, connections: Connections, problems: Problems) -> list[str]:
        """Add certificates that have ended to the problems; return a line for those that end soon."""
        fronts = [host for host in connections.hosts if ends_tls(self.fleet, host)]
        answers = await ask(connections, fronts, "certificates", problems)
        soon = {}
        for name, served in answers.items():
            ended, all_ending = (expiring_lines(served["ends"], served["now"], days) for days in (0, SOON))
            soon[name] = [text for text in all_ending if text not in ended]
            add_problems(problems, name, ended)
        return lines_of(on_hosts(soon))

    async def services(self, connections: Connections, problems: Problems) -> dict[str, dict[str, ServiceFacts]]:
        """Return the facts about services by host name. Add services that do not answer to the problems."""
        hosts = [host for host in connections.hosts if host.services]
        answers = await ask(connections, hosts, "services", problems)
        facts: dict[str, dict[str, ServiceFacts]] = {}
        for host in (host for host in hosts if host.name in answers):
            answer = answers[host.name]["services"]  # it may also have what an earlier role has left
            facts[host.name] = {kind: answer[kind] for kind in host.services if kind in answer}
            add_problems(
                problems, host.name, [*service_status.problems(self.fleet.app, host.services, facts[host.name])]
            )
        return facts

    async def backups(self, connections: Connections, problems: Problems) -> tuple[dict[str, Backups], list[str]]:
        """Return the facts about backups by host name, and lines about them. Add what is wrong to the problems."""
        hosts = [host for host in connections.hosts if host in self.fleet.backup_hosts]
        answers = await ask(connections, hosts, "backups", problems)
        lines = {}
        for host in (host for host in hosts if host.name in answers):
            answer: Backups = answers[host.name]
            wrong = backup_status.problems(answer, backups.actions(self.fleet, host), self.fleet.watch["backup"])
            add_problems(problems, host.name, [*wrong])
            lines[host.name] = [backup_status.line(answer)]
            if host == self.fleet.backup_hosts[0]:
                lines[host.name].append(backup_status.note(answer))
        return answers, lines_of(on_hosts({name: [*filter(None, each)] for name, each in lines.items()}))

    async def releases(self, args: argparse.Namespace) -> None:
        async with Connections(self.fleet, self.fleet.chosen(args.hosts)) as connections:
            problems = await connections.reach()
            facts, others = await connections.facts()
        if args.json:
            print(json.dumps({name: host_facts["records"] for name, host_facts in facts.items()}))
        else:
            print(visible(text_tables.releases_table(facts, commits.between)))
        if problems | others:
            raise DeployError(on_hosts(problems | others))

    async def show_settings(self, args: argparse.Namespace) -> None:
        """Show the names of the settings, and the changes that the next deploy will make live."""
        await staging.show(self.fleet, self.fleet.chosen(args.hosts))

    async def stage(self, args: argparse.Namespace, change: Change) -> None:
        """Store a change of settings. The next deploy makes the change live."""
        await staging.stage(self.fleet, self.fleet.chosen(args.hosts), change)

    def command(self, words: list[str], tty: bool) -> list[str]:
        """Return the command line that runs `words` on a host, in the live release. `tty`: True to get a terminal."""
        return ["docker-runner", self.fleet.app, *words]

    def journal(self, process: Process) -> list[str]:
        """Return the names by which journalctl finds a process's log."""
        return [f"{self.fleet.app}-{process.name}{slot}" for slot in (("-a", "-b") if process.overlap else ("",))]


async def ask(connections: Connections, hosts: Sequence[Host], do: str, problems: Problems) -> dict[str, Any]:
    """Return the answers of those hosts that have one, by name. Each other one is a problem, unless it has some."""
    answers, unanswered = await connections.ask_some(hosts, do)
    for name, why in texts(unanswered).items():
        problems.setdefault(name, why)
    return answers


def add_problems(problems: Problems, name: str, more: Sequence[str]) -> None:
    """Add a host's problems, if there are more."""
    if more:
        problems[name] = [*problems.get(name, []), *more]
