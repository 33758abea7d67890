"""A deploy or rollback on a swarm: Docker changes the services over; here is what goes before, and one end for all."""

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway import envfile

from ..config import Fleet
from ..errors import DeployError, Divided, HostProblem, Interrupted, Refused
from ..rollout import hooks
from ..rollout.plan import UPLOAD, Step
from ..ssh.connection import who
from ..ssh.connections import timed
from ..ssh.interrupts import heeded, ignored
from ..ssh.validate import Tell
from . import stack, state
from .manager import NAME, Manager
from .stack import Release

PAUSE = 0.5  # seconds between two questions
SLACK = 60  # seconds for placing
TAKEBACK = 400  # seconds: the containers of the release before may have to start
# Runs a command as a job: $1 its name, $2 seconds, the rest as `docker service create` takes it.
JOB = """
name=$1 until=$(($(date +%s) + $2)); shift 2
docker service rm "$name" >/dev/null 2>&1
docker service create "$@" >/dev/null || exit
while state=$(docker service ps --no-trunc --format '{{.CurrentState}} {{.Error}}' "$name" | head -n 1); do
    case $state in Complete*|Failed*|Rejected*|Shutdown*) break ;; esac
    [ "$(date +%s)" -lt $until ] || { state="took too long: $state"; break; }
    sleep 0.3
done
case $state in Complete*) ;; *) docker service logs --raw --tail 20 "$name" >&2; echo "$state" >&2 ;; esac
docker service rm "$name" >/dev/null
case $state in Complete*) ;; *) exit 1 ;; esac
"""


@dataclass
class Rollout:
    """A deploy or rollback (`action`) that is asked for. A rollback without a `tag` goes to the release before."""

    fleet: Fleet
    tell: Tell
    action: str
    tag: str = ""
    id: str = field(default_factory=lambda: os.urandom(6).hex())

    def __post_init__(self) -> None:
        self.manager = Manager(self.fleet)

    async def plan(self) -> list[tuple[Step, ...]]:
        """The steps that would be done. Raises Refused."""
        check(await self.manager.state(), self.action, self.tag)
        names = ["pull", *(["upload"] if self.fleet.static["publish"] else []), "migrate", "update"]
        return [(Step(name, (NAME,)),) for name in (names if self.action == "deploy" else ["update"])]

    async def run(self) -> None:
        """Do it. Raises Refused, DeployError when it was taken back, Divided."""
        began = time.monotonic()
        with ignored():
            with heeded():
                seen = await self.manager.state()
                check(seen, self.action, self.tag)
                release = await self._release(seen)
                record: hooks.HookRecord = {
                    "version": 1, "id": self.id, "app": self.fleet.app, "action": self.action, "tag": release.tag,
                    "digest": release.image.partition("@")[2], "who": who(f"{self.action} {release.tag}"),
                    "hosts": [host.name for host in self.fleet.app_hosts]}
                await hooks.run(self.fleet.hooks["before"], record, must=True)
            seconds = await hooks.around(self.fleet.hooks, record, began, self._do(seen, release))
            self.tell({"event": "result", "outcome": "committed", "action": self.action, "tag": release.tag,
                       "seconds": seconds, "text": f"{release.tag} is live on the swarm ({seconds:.1f} s)"})

    async def _release(self, seen: state.State) -> Release:
        """The release to bring. Raises Refused."""
        if self.action == "rollback":
            return back(seen.releases, self.tag)
        image = f"{self.fleet.image}:{self.tag}"
        try:
            with timed(self.tell, "pull", NAME):
                await self.manager.docker("pull", "--quiet", image, timeout=3600)
                said = json.loads(await self.manager.docker("image", "inspect", image))[0]["RepoDigests"]
            values = envfile.parse(await self.manager.settings(seen.settings), "")[0].values()
        except HostProblem as problem:
            raise Refused(str(problem)) from None
        digest = next(each for each in said if each.startswith(f"{self.fleet.image.removeprefix('docker.io/')}@"))
        secrets = sorted({os.path.basename(value) for value in values if value.startswith("/run/secrets/")})
        return Release(self.tag, digest, seen.settings, secrets, who(f"deploy {self.tag}"))

    async def _do(self, seen: state.State, release: Release) -> None:
        """Bring it; at the first failure all services back."""
        changed, there = False, [*seen.releases]
        try:
            with heeded():
                if self.action == "deploy":
                    await self._prepare(release)
                changed = True
                with timed(self.tell, "update", NAME):
                    await self._update(seen, [*there[:there.index(release) if release in there else None], release])
        except (HostProblem, DeployError, Interrupted) as error:
            if changed:
                await self._take_back(seen, error)
            if isinstance(error, Interrupted) or isinstance(error, Refused) and not changed:
                raise
            raise DeployError(f"{error}\n{'taken back' if changed else 'nothing was changed'}:"
                              f" {there[-1].tag + ' serves' if there else 'no release is live yet'}") from None

    async def _prepare(self, release: Release) -> None:
        """What goes before the first container: static files into their bucket, the database. Raises HostProblem."""
        bucket = self.fleet.static["publish"]
        jobs = [("upload", ["collectstatic", bucket], UPLOAD)] if bucket else []
        for step, words, limit in (*jobs, ("migrate", ["migrate"], self.fleet.rollout["migrate"])):
            name = f"{self.fleet.app}-{step}"
            with timed(self.tell, step, NAME):
                await self.manager.run(["sh", "-c", JOB, "sh", name, str(limit), *stack.one_off(
                    self.fleet, release, name, words)], timeout=limit + SLACK)

    async def _update(self, seen: state.State, releases: Sequence[Release]) -> None:
        """Have all services change over, and wait until they have. Raises DeployError, HostProblem."""
        made = stack.stack(self.fleet, releases, self.id)
        await self._put(made)
        until = time.monotonic() + seconds(self.fleet)
        while not state.converged(now := await self.manager.state(until), made["services"], self.id, seen):
            if time.monotonic() > until:
                raise DeployError("\n".join(state.problems(now)))
            await asyncio.sleep(PAUSE)
        for name in now.services.keys() - made["services"].keys():  # the toml has it no more
            await self.manager.docker("service", "rm", f"{self.fleet.app}_{name}")

    async def _put(self, made: stack.Data) -> None:
        """Give the stack to Docker. An interrupt waits for its end, as what is not there yet cannot be taken back."""
        name, content = stack.proxy_config(self.fleet)
        await self.manager.keep("config", name, content.encode())
        putting = asyncio.ensure_future(self.manager.docker(
            "stack", "deploy", "--with-registry-auth", "--compose-file", "-", self.fleet.app,
            input=json.dumps(made).replace("$", "$$").encode(), timeout=300))
        try:
            await asyncio.shield(putting)
        finally:
            await asyncio.wait({putting})

    async def _undo(self, seen: state.State, changed: Mapping[str, state.Service]) -> None:
        """Have Docker take services back; put the old stack where Docker's own rollback has met ours."""
        if seen.releases and any(name in seen.services and not one.before for name, one in changed.items()):
            return await self._put(stack.stack(self.fleet, seen.releases, seen.services["web"].attempt))
        for name, one in changed.items():
            words = ["rollback", "--detach", "--quiet"] if one.before else ["rm"]
            await self.manager.docker("service", *words, f"{self.fleet.app}_{name}")

    async def _take_back(self, seen: state.State, error: BaseException) -> None:
        """Have every service that this deploy has changed be what it was. Raises Divided where that is not to be."""
        self.tell({"event": "takeback", "hosts": [NAME], "state": "start"})
        until, why = time.monotonic() + TAKEBACK, ""
        while time.monotonic() < until:
            try:
                now = await self.manager.state()
                mine = {name: one for name, one in now.services.items() if one.attempt == self.id}
                await self._undo(seen, mine)
                if not mine and all(now.services[name].whole for name in seen.services if name in now.services):
                    return
                why = "\n".join(state.problems(now))
            except (HostProblem, Refused) as problem:  # a swarm without a leader answers nobody for some seconds
                why = str(problem)
            await asyncio.sleep(PAUSE)
        raise Divided(f"{error}\nnot taken back whole: {why}\nsee make status, then deploy again") from None


def check(seen: state.State, action: str, tag: str) -> None:
    """Raise Refused with all that keeps a release from coming."""
    found = [] if seen.settings else ["no settings are there yet: make env ARGS='set NAME …'"]
    found += [f"{name}: an update is under way: try again after it, see make status"
              for name, one in seen.services.items() if one.update in state.BUSY]
    if found:
        raise Refused("\n".join(found))
    if action == "rollback":
        back(seen.releases, tag)


def back(releases: Sequence[Release], tag: str = "") -> Release:
    """The release that a rollback goes to: of that tag, or the one before. Raises Refused."""
    for release in reversed(releases[:-1]):
        if release.tag == tag or not tag and release[:3] != releases[-1][:3]:
            return release
    raise Refused(f"no release {tag} is kept here: see make releases" if tag else
                  "no release came before this one: there is no way back")


def seconds(fleet: Fleet) -> int:
    """How long an update may take: each part of the web gets ready, what runs alone ends first."""
    parts = -(-fleet.engine["replicas"]["web"] // stack.at_once(fleet))
    longest = max(process.stop for process in fleet.processes.values() if not process.overlap)
    return int(parts * (fleet.rollout["ready"] + fleet.rollout["canary"]) + fleet.rollout["bake"] + longest + SLACK)
