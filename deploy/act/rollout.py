"""A deploy or rollback from beginning to end: looks, decides, does, and takes back when it goes wrong."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..agent.answers import Facts, Resolved
from ..agent.shapes import Record, Release
from ..decide import migrations, preflight
from ..decide.config import Fleet, Host
from ..decide.plan import KINDS, Options, Step, Target, plan
from ..errors import DeployError, Divided, HostProblem, Interrupted, Locked, Refused, on_hosts
from ..reach.answers import Tell
from ..reach.connection import who
from ..reach.connections import Connections, report
from ..reach.interrupts import heeded, ignored
from ..reach.process import in_thread
from . import hooks, source
from .commit import Ending, told
from .hooks import HookRecord

Group = tuple[Step, ...]
AllFacts = Mapping[str, Facts]  # by host name


@dataclass
class Rollout:
    """What is asked for. `tag` may be empty for a rollback; `to`: the rollback's goal was named."""

    fleet: Fleet
    hosts: list[Host]
    tell: Tell
    action: str
    tag: str = ""
    options: Options = Options()
    skip_unreachable: bool = False
    timings: dict[tuple[str, str], float] = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    async def plan(self) -> list[Group]:
        """The groups of steps that would be done. Nothing is changed. Raises Refused."""
        async with self._connections() as hosts, contextlib.AsyncExitStack() as stack:
            return (await self._decide(hosts, stack))[1]

    async def run(self) -> None:
        """Do it. Raises Refused, Locked, DeployError when it was taken back, Divided."""
        began = time.monotonic()
        with ignored():
            async with self._connections() as hosts, contextlib.AsyncExitStack() as stack:
                target, groups, record = await self._begin(hosts, stack)
                try:
                    await self._do(hosts, groups, target)
                except (Refused, Locked):
                    raise
                except DeployError as error:
                    await hooks.run(self.fleet.hooks["failed"], {**record, "outcome": "failed", "cause": str(error),
                                                                 "seconds": since(began)})
                    raise
                seconds = since(began)
                await hooks.run(self.fleet.hooks["committed"], {**record, "outcome": "committed", "seconds": seconds})
                self.tell({"event": "result", "outcome": "committed", "action": target.action, "tag": target.tag,
                           "seconds": seconds, "text": f"{target.tag} is live on {', '.join(record['hosts'])}"
                                                       f" ({seconds:.1f} s)"})

    # ---- deciding ----

    async def _begin(self, hosts: Connections, stack: contextlib.AsyncExitStack) -> tuple[
            Target, list[Group], HookRecord]:
        """What comes before the first change."""
        try:
            with heeded():
                target, groups, facts = await self._decide(hosts, stack)
                preflight.nobody_else(facts)
                record = self._record(target, hosts)
                await hooks.run(self.fleet.hooks["before"], record, must=True)
        except Interrupted as error:
            raise Refused(f"{error}: nothing was changed") from None
        return target, groups, record

    def _connections(self) -> Connections:
        return Connections(self.fleet, self.hosts, self.tell, self.timings, shared=self._serves())

    def _serves(self) -> bool:
        """Whether the image goes to the hosts through our connections."""
        return self.fleet.registry == "ssh" and self.action == "deploy"

    async def _decide(self, hosts: Connections, stack: contextlib.AsyncExitStack) -> tuple[
            Target, list[Group], dict[str, Facts]]:
        """(Target, groups of steps, facts) after a look at all hosts. Raises Refused with all problems of all hosts."""
        silent = await hosts.connect(self.skip_unreachable)
        facts, more = await hosts.facts(paths=lambda host: list(preflight.expected(self.fleet, host)),
                                        tag=lambda host: self.tag)
        silent.update(more)
        if not facts:
            raise Refused(on_hosts(silent))
        try:
            target, texts = await self._target(hosts, facts, stack)
        except Refused as error:
            raise Refused("\n".join(filter(None, [str(error), on_hosts(silent)]))) from None
        found = {**preflight.problems(self.fleet, hosts.hosts, facts, target), **silent}
        if texts or found:
            raise Refused("\n".join([*texts, *filter(None, [on_hosts(found)])]))
        for name, text in preflight.warnings(hosts.hosts, facts):
            self.tell({"event": "warning", "host": name, "text": text})
        if target.action == "deploy" or self.tag and target.action == "rollback":
            target = replace(target, judge=next((host.name for host in hosts.hosts if facts[host.name]["tag"]), ""))
        options = replace(self.options, credentials=self._credentials())
        return target, plan(self.fleet, hosts.hosts, target, options, {"id": self.id, "who": self._who(target)}), facts

    async def _target(self, hosts: Connections, facts: AllFacts, stack: contextlib.AsyncExitStack) -> tuple[
            Target, list[str]]:
        """(Target, why there is none)."""
        if self.action == "rollback":
            return self._back(facts), []
        action = "restart" if preflight.tags(facts) == {self.tag} else "deploy"
        if self._serves():
            return await self._served(hosts, stack, action), []
        try:
            found = await self._resolved(hosts, facts)
        except HostProblem as problem:
            return Target(action, self.tag), [f"on {hosts.hosts[0].name}: {problem}"]
        return Target(action, self.tag, found["digest"], exact=not found["index"]), []

    def _back(self, facts: AllFacts) -> Target:
        """The Target of a rollback."""
        releases = preflight.recorded(facts, self.tag) if self.tag else preflight.revert_of(facts)
        tag = self.tag or next(iter(releases.values()))["tag"]
        if preflight.tags(facts) == {tag}:
            raise Refused(f"{tag} is live already")
        return Target("rollback", tag, releases={name: goal(release, facts[name])
                                                 for name, release in releases.items()})

    async def _served(self, hosts: Connections, stack: contextlib.AsyncExitStack, action: str) -> Target:
        """The Target that we serve ourselves for as long as the stack is open."""
        from ..reach import registry  # takes longer to load than a rollback should wait
        server = stack.enter_context(await in_thread(registry.serve, f"{self.fleet.image}:{self.tag}"))
        stack.callback(lambda: self.tell({"event": "sent", "bytes": server.sent}))
        sources = {name: {"reference": f"127.0.0.1:{port}/app", "credentials": server.login}
                   for name, port in (await hosts.forward(server.port)).items()}
        return Target(action, self.tag, server.digest, sources=sources)

    async def _resolved(self, hosts: Connections, facts: AllFacts) -> Resolved:
        """What the tag stands for, as the first host sees it."""
        return await hosts.resolve(hosts.hosts[0].name, image=self.fleet.image, tag=self.tag,
                                   credentials=self._credentials(),
                                   architectures=sorted({found["arch"] for found in facts.values()}))

    def _credentials(self) -> str:
        name = self.fleet.registry_login
        if name and not os.environ.get(name):
            raise Refused(f"registry.login: {name} is not set, it holds user:password for the registry")
        return os.environ[name] if name else ""

    def _who(self, target: Target) -> str:
        return who(f"{target.action} {target.tag}")

    def _record(self, target: Target, hosts: Connections) -> HookRecord:
        return {"version": 1, "id": self.id, "app": self.fleet.app, "action": target.action,
                "tag": target.tag, "digest": target.digest, "who": self._who(target),
                "hosts": [host.name for host in hosts.hosts]}

    # ---- doing ----

    async def _do(self, hosts: Connections, groups: Sequence[Group], target: Target) -> None:
        """Lock, step after step, and at the first failure all back. Of what all have prepared Ending has the say."""
        *steps, (promise,), (commit,) = groups
        begun: list[Group] = []
        try:
            with heeded():
                await hosts.lock(self._who(target))
                for group in steps:
                    begun.append(group)
                    hosts.spare = self._spare(hosts, group[0])
                    answers = await hosts.run(group)
                    await source.check(answers, target, self.options.allow_dirty, self.tell)
                    migrations.check(answers, target.action, self.options.allow_incompatible)
            for name, text in hosts.sick.items():
                self.tell({"event": "unhealthy", "host": name, "text": f"not healthy, and let pass: {text}"})
        except BaseException as error:
            changed = not all(KINDS[group[0].name].harmless for group in begun)
            raise await self._taken_back(hosts, error, changed) from None
        await self._end(hosts, promise, commit, target)

    def _spare(self, hosts: Connections, step: Step) -> int:
        """How many hosts may be sick in a step: from the bake on all but `min_healthy` of them."""
        if hosts.spare or step.name == "watch" and len(step.hosts) == len(hosts.hosts):
            return int((1 - self.fleet.rollout["min_healthy"]) * len(hosts.hosts) + 1e-9)
        return 0

    async def _taken_back(self, hosts: Connections, error: BaseException, changed: bool) -> BaseException:
        """Have all hosts go back; the error that then is to be told."""
        ends = await hosts.take_back(str(error) or type(error).__name__)
        if isinstance(error, HostProblem):
            error = DeployError(report(await hosts.evidence(error, ends)))
        if not isinstance(error, DeployError):
            return error
        lost = [name for name, end in ends.items() if end is None]
        fates = await self._ending(hosts).learn(lost, False, str(error))
        stuck = [name for name, end in ends.items() if end and end.get("attempt") or fates.get(name) == "stuck"]
        unknown = [name for name in lost if fates[name] not in ("back", "stuck")]
        if stuck or unknown:
            return Divided("\n".join([str(error), *self._not_back(stuck, unknown)]))
        if isinstance(error, (Refused, Locked)):
            return error
        if not changed and not isinstance(error, Interrupted):
            return DeployError(f"{error}\nnothing was changed, but for images that were pulled")
        return DeployError(f"{error}\ntaken back: {'every host is as it was' if lost else serving(ends)}")

    def _not_back(self, stuck: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
        """Lines of hosts of which it is not known that they are back, whole."""
        if stuck:
            yield (f"{', '.join(stuck)}: could not be taken back whole, see make status; the next deploy or rollback"
                   " tries again")
        if unknown:
            yield (f"taken back; {', '.join(unknown)} can't be asked and does the same within"
                   f" {self.fleet.rollout['dead_after']} s of its last word: see make status")

    def _ending(self, hosts: Connections) -> Ending:
        return Ending(hosts, self.id, self.fleet.rollout["dead_after"])

    async def _end(self, hosts: Connections, promise: Step, commit: Step, target: Target) -> None:
        """All hosts are prepared. Raises DeployError or Divided where they don't all commit."""
        fates, failed = await self._ending(hosts).run(promise, commit)
        error = told(fates, failed, target.tag)
        if error:
            raise error
        for name, problem in failed.items():
            self.tell({"event": "committed", "host": name, "text": f"has committed, though {problem}"})


def serving(ends: Mapping[str, Mapping[str, Any] | None]) -> str:
    """What visitors get after a takeback, by what the hosts say of themselves then."""
    first = ends and not any(end and end.get("tag") for end in ends.values())
    return "no release is live yet, as before" if first else "the old release serves everywhere"


def since(began: float) -> float:
    """Seconds, to a tenth."""
    return round(time.monotonic() - began, 1)


def goal(release: Release | Record, facts: Facts) -> dict[str, Any]:
    """What an attempt needs to know of the release that a rollback goes to."""
    known = [record.get("digest") for record in facts["known"] if record["tag"] == release["tag"]]
    return {"image_id": release["image_id"], "digest": release.get("digest") or (known or [""])[-1]}
