"""A rollout: look, lock, run the steps, commit or take back, and report."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..agent.groups import summary
from ..agent.host import lines_of
from ..agent.message_types import Facts
from ..agent.steps.watcher import Watched
from ..config import Fleet, Host
from ..env import new_hosts
from ..env.changes import restored_settings_warnings
from ..env.new_hosts import Settled
from ..errors import DeployError, Divided, HostProblem, Interrupted, Locked, Refused, on_hosts
from ..ssh.connection import who
from ..ssh.connections import Connections
from ..ssh.gather import texts
from ..ssh.interrupts import ignored, interruptible
from ..ssh.validate import Tell
from . import hooks, images, migrations, pending_verdicts, points, preflight
from .commit import Commit, outcome
from .plan import Options, Step, Target, judging_host, plan
from .report import cause_of, report
from .runner import Run
from .target import Targeting, serves

CURE = "; correct the cause, then deploy again"
WAIT = ("start", "ready")  # if these fail, no visitor meets the new release
SEARCH = 10  # seconds for a host to find the new release's errors, when it is live or taken back
Group = tuple[Step, ...]


@dataclass
class Rollout:
    """A whole deploy or rollback (`action`). Without a `tag`, a deploy takes the live release, and a rollback goes to
    the release before it."""

    fleet: Fleet
    hosts: list[Host]
    tell: Tell
    action: str
    tag: str = ""
    options: Options = Options()
    skip_unreachable: bool = False
    id: str = field(default_factory=lambda: os.urandom(6).hex())
    watched: dict[str, Watched] = field(default_factory=dict)  # host name → its counts of answers and errors
    began: float = 0
    breaking: str = ""  # from `plan` on: why a deploy would be refused at its migrations
    # Hosts that have what new ones need; without a `tag` also the release.
    settled: list[Settled] = field(default_factory=list)

    async def plan(self) -> list[Group]:
        async with self._connections() as hosts, contextlib.AsyncExitStack() as stack:
            target, groups, facts = await self._decide(hosts, stack)
        if target.judge and self.tag:  # the live release has no new ones
            pending = pending_verdicts.pending(f"{self.fleet.image}:{target.tag}", facts[target.judge])
            for text in pending.lines:
                self.tell({"event": "progress", "text": text})
            if pending.incompatible and not self.options.allow_incompatible:
                self.breaking = "\n".join(migrations.harm("deploy", pending.incompatible))
        return groups

    async def run(self) -> None:
        """Run all steps. Raise Refused or Locked if they must not run, Divided if hosts may have different
        releases, DeployError for any other failure."""
        self.began = time.monotonic()
        with ignored():
            async with self._connections() as hosts, contextlib.AsyncExitStack() as stack:
                target, groups, record = await self._begin(hosts, stack)
                seconds = await hooks.run_around(
                    self.fleet.hooks, record, self.began, self._do(Run(hosts), groups, target)
                )
                new, _ = await asyncio.gather(
                    self._new_errors(hosts, target.tag), points.note_point(self.fleet, "commit", target.tag, self.tell)
                )
                self.tell(
                    {
                        "event": "result",
                        "outcome": "committed",
                        "action": target.action,
                        "tag": target.tag,
                        "seconds": seconds,
                        "answers": self.watched,
                        "text": success_text(record, seconds, self.watched) + new,
                    }
                )

    async def _new_errors(self, hosts: Connections, tag: str) -> str:
        """Return a line with the release's errors that the release before did not have, if there are any, and one with
        the hosts that could not tell."""
        since = self.began - time.monotonic()
        groups, problems, _ = await hosts.errors(SEARCH + 1, since=since, tag=tag, seconds=SEARCH)
        new = f"\n{summary(groups)}: see slipway errors" if summary(groups) else ""
        return f"{new}\nnew errors are unknown {on_hosts(texts(problems))}" if problems else new

    # ---- plan ----

    async def _begin(
        self, hosts: Connections, stack: contextlib.AsyncExitStack
    ) -> tuple[Target, list[Group], hooks.Record]:
        try:
            with interruptible():
                target, groups, facts = await self._decide(hosts, stack)
                preflight.refuse_if_locked(facts)
                record = hooks.hook_record(self.fleet, self.id, target.action, target.tag, target.digest, hosts.hosts)
                await hooks.run(self.fleet.hooks["before"], record, must=True)
        except Interrupted as error:
            raise Refused(f"{error}: nothing was changed") from None
        return target, groups, record

    def _connections(self) -> Connections:
        return Connections(self.fleet, self.hosts, self.tell, shared=serves(self.fleet, self.action))

    async def _decide(
        self, hosts: Connections, stack: contextlib.AsyncExitStack
    ) -> tuple[Target, list[Group], dict[str, Facts]]:
        """Inspect all hosts; return (target release, groups of steps, host name → facts). If hosts have problems, raise
        Refused with all problems."""
        self.tell({"event": "progress", "text": f"checking {', '.join(host.name for host in self.hosts)}"})
        targeting = Targeting(self.fleet, self.action, self.tag, hosts, stack, self.options.allow_dirty)
        silent = await hosts.connect(self.skip_unreachable)
        facts, unanswered = await hosts.facts(
            paths=lambda host: list(preflight.expected_files(self.fleet, host)),
            tag=lambda host: self.tag,
            history=lambda host: False,
            blind=lambda host: True,
        )
        silent.update(unanswered)
        if not facts:
            raise Refused(on_hosts(silent))
        if self.action == "deploy" and not (self.tag and all(preflight.live_tags(facts).values())):
            peers = await stack.enter_async_context(new_hosts.peers(self.fleet, self.hosts))
            settled = [*new_hosts.settled_of(hosts, facts), *await new_hosts.ask_peers(peers)]
            self.settled = new_hosts.sources(settled)
        try:
            targeting.tag = self.tag or self._live(facts)
            target, texts = await targeting.find(facts)
            if target.digest and not serves(self.fleet, self.action):  # serving makes a new digest of the same image
                texts += new_hosts.other_image(self.settled, target.tag, target.digest)
            texts += await new_hosts.unreadable(new_hosts.new_among(hosts.hosts, self.settled), self.settled)
        except Refused as error:
            raise Refused("\n".join(filter(None, [str(error), on_hosts(silent)]))) from None
        problems = {**preflight.problems(self.fleet, hosts.hosts, facts, target), **silent}
        if texts or problems:
            raise Refused("\n".join([*texts, *filter(None, [on_hosts(problems)])]))
        if differ := preflight.describe_spread(preflight.live_tags(facts)):
            differ += f"; this {self.action} brings all to {target.tag}, or leaves them so if it fails"
            self.tell({"event": "warning", "text": f"hosts differ: {differ}"})
        for text in [*lines_of(on_hosts(new_hosts.lacking(self.settled))), *preflight.notes(facts)]:
            self.tell({"event": "warning", "text": text})
        if target.action != "restart":
            target = replace(target, judge=judging_host(preflight.hosts_to_change(hosts.hosts, facts, target.tag)))
        options = replace(self.options, credentials=targeting.credentials())
        return target, plan(self.fleet, hosts.hosts, target, options, {"id": self.id, "who": self._who(target)}), facts

    def _live(self, facts: dict[str, Facts]) -> str:
        """Return the live release's tag for a deploy, "" for a rollback. Raise Refused if there is not just one."""
        if self.action != "deploy":
            return ""
        tags = {*preflight.live_tags(facts).values(), *(each.tag for each in self.settled)} - {""}
        if len(tags) != 1:
            raise Refused(
                f"--live needs one live release, but the hosts have {', '.join(sorted(tags)) or 'none'}: name"
                " the release by TAG"
            )
        return tags.pop()

    def _who(self, target: Target) -> str:
        return who(f"{target.action} {target.tag}")

    # ---- run ----

    async def _do(self, run: Run, groups: Sequence[Group], target: Target) -> None:
        """Lock the hosts, run the steps and commit. If a step fails, take all hosts back."""
        *steps, (promise,), (commit,) = groups
        judged: dict[str, Any] = {}
        try:
            with interruptible():
                await run.hosts.lock(self._who(target))
                await new_hosts.bring(
                    run.hosts, new_hosts.new_among(run.hosts.hosts, self.settled), self.settled, target.tag
                )
                for group in filter(None, (migrations.needed_steps(group, judged) for group in steps)):
                    if any(step.name == "migrate" for step in group):
                        await points.note_point(self.fleet, "before", target.tag, self.tell)
                    answers = await run.steps(group)
                    judged |= answers.get(("verdicts", target.judge), {})
                    self.watched |= {host: answer for (step, host), answer in answers.items() if step == "watch"}
                    images.check(answers, target, self.options.allow_dirty)
                    texts = migrations.check(
                        answers,
                        target.action,
                        self.options.allow_incompatible,
                        urgent=self.action == "rollback" and not self.tag,
                    )
                    for text in [*texts, *images.upload_warnings(answers, self.fleet)]:
                        self.tell({"event": "warning", "text": text})
                    for text, names in restored_settings_warnings(answers).items():
                        self.tell({"event": "warning", "host": names, "text": text})
        except BaseException as error:
            raise await self._taken_back(run, error, target.tag) from None
        await self._end(run, promise, commit, target)

    async def _taken_back(self, run: Run, error: BaseException, tag: str) -> BaseException:
        """Take all hosts back. Return the error to raise."""
        cause = str(error) or type(error).__name__
        if isinstance(error, HostProblem):
            if error.step in WAIT:  # no visitor waits for this, so that releases.log can tell what the app said
                error = await run.evidence(error, {error.host: True}, SEARCH)
            cause = cause_of(error)
        ends = await run.hosts.take_back(cause)
        if isinstance(error, HostProblem):
            error = DeployError(report(await run.evidence(error, ends)) + await self._new_errors(run.hosts, tag))
        if not isinstance(error, DeployError):
            return error
        lost = [name for name, end in ends.items() if end is None]
        states = await self._commit(run).ask_states(lost, False, str(error))
        stuck = [name for name, end in ends.items() if (end and end.get("attempt")) or states.get(name) == "stuck"]
        unknown = [name for name in lost if states[name] not in ("back", "stuck")]
        if stuck or unknown:
            return Divided("\n".join([str(error), *self._not_back(stuck, unknown)]))
        if isinstance(error, (Refused, Locked)):
            return error
        now = "every host is as it was" if lost else takeback_text(ends)
        cure = "" if isinstance(error, Interrupted) else CURE
        return DeployError(f"{error}\ntaken back: {now}{cure}")

    def _not_back(self, stuck: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
        if stuck:
            yield (
                f"{', '.join(stuck)}: could not be taken back completely, see slipway status; the next deploy or"
                " rollback tries again"
            )
        if unknown:
            yield (
                f"taken back, but {', '.join(unknown)} can't be reached: each goes back by itself within"
                f" {self.fleet.rollout['dead_after']} s of losing the connection, see slipway status"
            )

    def _commit(self, run: Run) -> Commit:
        return Commit(run, self.id, self.fleet.rollout["dead_after"])

    async def _end(self, run: Run, promise: Step, commit: Step, target: Target) -> None:
        """Commit the prepared hosts. Raise DeployError if all hosts went back, Divided if their releases may differ."""
        states, failed = await self._commit(run).decide(promise, commit)
        error = outcome(states, failed, target.tag)
        if error:
            raise error
        self.watched |= {
            host: answer["seen"] for (step, host), answer in run.tried.items() if step == "commit" and answer["seen"]
        }
        for name, problem in failed.items():
            self.tell({"event": "committed", "host": name, "text": f"has committed, despite: {problem}"})


def success_text(record: hooks.Record, seconds: float, watched: Mapping[str, Watched]) -> str:
    """Return the last lines that a successful deploy or rollback prints."""
    answers, errors = (sum(answer[key] for answer in watched.values()) for key in ("answers", "errors"))
    seen = f", {answers} requests seen, {errors} errors" if watched else ""
    return f"{record['tag']} is live on {', '.join(record['hosts'])} ({seconds:.1f} s{seen}){speed_text(watched)}"


def speed_text(watched: Mapping[str, Watched]) -> str:
    """Return how fast visitors' answers were on the slowest host, or "" if there were none."""
    parts: list[str] = []
    for when, index in (("", 1), ("before: ", 0)):
        speeds = [answer["speeds"][index] for answer in watched.values()]
        measured = [speed for speed in speeds if speed]
        if measured:
            slowest = max(slowest for slowest, _ in measured)
            most = max(most for _, most in measured)
            parts.append(f"{when}slowest {slowest:.2f} s, 99% within {most:.2f} s")
    return f"\nanswers: {'; '.join(parts)}" if parts else ""


def takeback_text(ends: Mapping[str, Mapping[str, Any] | None]) -> str:
    tags = {name: end.get("tag") for name, end in ends.items() if end}
    if ends and not any(tags.values()):
        return "no release is live yet, as before"
    if differ := preflight.describe_spread(tags):
        return f"hosts differ as before ({differ}) until a deploy succeeds"
    return "the old release serves everywhere"
