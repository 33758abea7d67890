"""A deploy or rollback on a swarm. Docker changes the services; after a failure, a takeback restores them."""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway import envfile

from ..agent import pull_failures
from ..agent.docker import registry_of
from ..config import Fleet
from ..errors import DeployError, Divided, HostProblem, Interrupted, Refused
from ..rollout import hooks
from ..rollout.plan import UPLOAD, Step
from ..ssh.connection import who
from ..ssh.connections import timed
from ..ssh.interrupts import ignored, interruptible
from ..ssh.validate import Tell
from . import stack, state
from .manager import NAME, Manager, parse_answer
from .stack import Release

PAUSE = 0.5  # seconds between polls
SLACK = 60  # seconds that Docker may need to place containers on nodes
TAKEBACK = 400  # seconds for a takeback: the old release's containers may have to start
# Runs one command as a Swarm job. $1: the job's name; $2: timeout in seconds; rest: for `docker service create`.
JOB = """
name=$1 until=$(($(cut -d. -f1 /proc/uptime) + $2)); shift 2
docker service rm "$name" >/dev/null 2>&1
docker service create "$@" >/dev/null || exit
while state=$(docker service ps --no-trunc --format '{{.CurrentState}} {{.Error}}' "$name" | head -n 1); do
    case $state in Complete*|Failed*|Rejected*|Shutdown*) break ;; esac
    [ "$(cut -d. -f1 /proc/uptime)" -lt $until ] || { state="took too long: $state"; break; }
    sleep 0.3
done
case $state in Complete*) ;; *) docker service logs --raw --tail 20 "$name" >&2; echo "$state" >&2 ;; esac
docker service rm "$name" >/dev/null
case $state in Complete*) ;; *) exit 1 ;; esac
"""


@dataclass
class Rollout:
    """A deploy or rollback (`action`) on a swarm."""

    fleet: Fleet
    tell: Tell
    action: str
    tag: str = ""
    id: str = field(default_factory=lambda: os.urandom(6).hex())
    breaking: str = ""  # a plan here does not look at migrations

    def __post_init__(self) -> None:
        self.manager = Manager(self.fleet)

    async def plan(self) -> list[tuple[Step, ...]]:
        refuse_if_impossible(await self.manager.state(), self.action, self.tag)
        names = ["pull", *(["upload"] if self.fleet.static["publish"] else []), "migrate", "update"]
        return [(Step(name, (NAME,)),) for name in (names if self.action == "deploy" else ["update"])]

    async def run(self) -> None:
        """Run the rollout. Raise Refused if it cannot begin, DeployError if it fails, Divided if the takeback fails."""
        began = time.monotonic()
        with ignored():
            with interruptible():
                seen = await self.manager.state()
                refuse_if_impossible(seen, self.action, self.tag)
                release = await self._release(seen)
                record = hooks.hook_record(
                    self.fleet, self.id, self.action, release.tag, release.image.partition("@")[2], self.fleet.app_hosts
                )
                await hooks.run(self.fleet.hooks["before"], record, must=True)
            seconds = await hooks.run_around(self.fleet.hooks, record, began, self._do(seen, release))
            self.tell(
                {
                    "event": "result",
                    "outcome": "committed",
                    "action": self.action,
                    "tag": release.tag,
                    "seconds": seconds,
                    "text": f"{release.tag} is live on the swarm ({seconds:.1f} s)",
                }
            )

    async def _release(self, seen: state.State) -> Release:
        if self.action == "rollback":
            return previous_release(seen.releases, self.tag)
        image = f"{self.fleet.image}:{self.tag}"
        try:
            with timed(self.tell, "pull", NAME):
                await self._pull(image)
                digest = parse_answer(self._digest, await self.manager.docker("image", "inspect", image))
            values = envfile.parse(await self.manager.settings(seen.settings), "")[0].values()
        except HostProblem as problem:
            raise Refused(str(problem)) from None
        secrets = sorted({os.path.basename(value) for value in values if value.startswith("/run/secrets/")})
        return Release(self.tag, digest, seen.settings, secrets, who(f"deploy {self.tag}"))

    async def _pull(self, image: str) -> None:
        try:
            await self.manager.docker("pull", "--quiet", image, timeout=3600)
        except HostProblem as problem:
            why = pull_failures.cure(str(problem), registry_of(image))
            raise HostProblem("; ".join(filter(None, [str(problem), why]))) from None

    def _digest(self, output: str) -> str:
        image = self.fleet.image.removeprefix("docker.io/")
        return str(next(each for each in json.loads(output)[0]["RepoDigests"] if each.startswith(f"{image}@")))

    async def _do(self, seen: state.State, release: Release) -> None:
        changed = False
        kept = [*seen.releases]
        try:
            with interruptible():
                if self.action == "deploy":
                    await self._prepare(release)
                changed = True
                with timed(self.tell, "update", NAME):
                    await self._update(seen, [*kept[: kept.index(release) if release in kept else None], release])
        except (HostProblem, DeployError, Interrupted) as error:
            if changed:
                await self._take_back(seen, error)
            if isinstance(error, Interrupted) or (isinstance(error, Refused) and not changed):
                raise
            raise DeployError(
                f"{error}\n{'taken back' if changed else 'nothing was changed'}:"
                f" {kept[-1].tag + ' serves' if kept else 'no release is live yet'}"
            ) from None

    async def _prepare(self, release: Release) -> None:
        bucket = self.fleet.static["publish"]
        jobs = [("upload", ["collectstatic", bucket], UPLOAD)] if bucket else []
        for step, words, limit in (*jobs, ("migrate", ["migrate"], self.fleet.rollout["migrate"])):
            name = f"{self.fleet.app}-{step}"
            with timed(self.tell, step, NAME):
                await self.manager.run(
                    ["sh", "-c", JOB, "sh", name, str(limit), *stack.one_off(self.fleet, release, name, words)],
                    timeout=limit + SLACK,
                )

    async def _update(self, seen: state.State, releases: Sequence[Release]) -> None:
        made = stack.stack(self.fleet, releases, self.id)
        await self._put(made)
        until = time.monotonic() + update_seconds(self.fleet)
        while not state.has_converged(now := await self.manager.state(until), made["services"], self.id, seen):
            if time.monotonic() > until:
                raise DeployError("\n".join(state.problems(now)))
            await asyncio.sleep(PAUSE)
        for name in now.services.keys() - made["services"].keys():  # services that the toml no longer has
            await self.manager.docker("service", "rm", f"{self.fleet.app}_{name}")

    async def _put(self, made: stack.Data) -> None:
        """Deploy the stack. After an interrupt, wait until Docker is done: a half-made stack cannot be taken back."""
        name, content = stack.proxy_config(self.fleet)
        await self.manager.keep("config", name, content.encode())
        putting = asyncio.ensure_future(
            self.manager.docker(
                "stack",
                "deploy",
                "--with-registry-auth",
                "--compose-file",
                "-",
                self.fleet.app,
                input=json.dumps(made).replace("$", "$$").encode(),
                timeout=300,
            )
        )
        try:
            await asyncio.shield(putting)
        finally:
            await asyncio.wait({putting})

    async def _undo(self, seen: state.State, changed: Mapping[str, state.Service]) -> None:
        """Roll the `changed` services back; remove new ones. If Docker cannot, deploy the stack of the state `seen`."""
        if seen.releases and any(name in seen.services and not service.before for name, service in changed.items()):
            await self._put(stack.stack(self.fleet, seen.releases, seen.services["web"].attempt))
            return
        for name, service in changed.items():
            words = ["rollback", "--detach", "--quiet"] if service.before else ["rm"]
            await self.manager.docker("service", *words, f"{self.fleet.app}_{name}")

    async def _take_back(self, seen: state.State, error: BaseException) -> None:
        self.tell({"event": "takeback", "hosts": [NAME], "state": "start"})
        until = time.monotonic() + TAKEBACK
        why = ""
        while time.monotonic() < until:
            try:
                now = await self.manager.state()
                mine = {name: service for name, service in now.services.items() if service.attempt == self.id}
                await self._undo(seen, mine)
                if not mine and all(now.services[name].whole for name in seen.services if name in now.services):
                    return
                why = "\n".join(state.problems(now))
            except (HostProblem, Refused) as problem:  # a swarm without a leader does not answer for some seconds
                why = str(problem)
            await asyncio.sleep(PAUSE)
        raise Divided(f"{error}\nnot taken back completely: {why}\nsee slipway status, then deploy again") from None


def refuse_if_impossible(seen: state.State, action: str, tag: str) -> None:
    """If a rollout cannot begin, raise Refused with the reasons."""
    reasons = [] if seen.settings else ["there are no settings yet: run slipway env set NAME …"]
    reasons += [
        f"{name}: an update is under way: wait for its end, see slipway status"
        for name, service in seen.services.items()
        if service.update in state.BUSY
    ]
    if reasons:
        raise Refused("\n".join(reasons))
    if action == "rollback":
        previous_release(seen.releases, tag)


def previous_release(releases: Sequence[Release], tag: str = "") -> Release:
    """Return the latest earlier release with `tag` or, without a tag, unlike the live one. Raise Refused if none."""
    for release in reversed(releases[:-1]):
        if release.tag == tag or (not tag and release[:3] != releases[-1][:3]):
            return release
    raise Refused(
        f"there is no earlier release {tag}: see slipway releases"
        if tag
        else "there is no earlier release to go back to"
    )


def update_seconds(fleet: Fleet) -> int:
    """Return how many seconds an update may take: web is updated in parts, and old processes need time to stop."""
    parts = -(-fleet.engine["replicas"]["web"] // stack.at_once(fleet))
    longest = max(process.stop for process in fleet.processes.values() if not process.overlap)
    return int(parts * (fleet.rollout["ready"] + fleet.rollout["canary"]) + fleet.rollout["bake"] + longest + SLACK)
