"""The two-phase commit (docs/design.md). If an answer is lost, the deployer asks that host anew."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ..agent.attempt_state import AttemptState
from ..errors import DeployError, Divided, HostProblem, Lost, on_hosts
from ..ssh.connection import ask_once
from ..ssh.connections import TAKEBACK
from ..ssh.gather import gather
from .plan import Step
from .runner import Run

OPEN = ("promised", "open")
FINAL = ("committed", "back", "stuck")
LATE = 5  # extra seconds to wait for a host that decides by itself
PAUSE = 0.5
States = dict[str, str | None]  # host name → state, as agent/attempt_state.py explains; None: unknown


def goes_forward(states: Mapping[str, str | None], sick: Collection[str] = ()) -> bool:
    """Return True (hosts commit) if one has committed, or if none is `sick`, "back" or "open". Skip unknown states."""
    seen = set(states.values())
    return "committed" in seen or (not sick and not seen & {"open", "back"})


def outcome(states: States, failed: Mapping[str, HostProblem], tag: str) -> DeployError | None:
    seen = set(states.values())
    if seen == {"committed"}:
        return None
    cause = on_hosts({name: [str(problem)] for name, problem in failed.items()})
    if seen == {"back"}:
        return DeployError(f"{cause}\ntaken back: every host is as it was")
    words = {
        "committed": f"on {tag}",
        "back": "on the release before",
        "stuck": "changed in part; the next deploy or rollback repairs it",
        None: f"can't be reached; on {tag} or on the release before",
    }
    lines = [
        f"{', '.join(name for name in states if states[name] == state)}: {text}"
        for state, text in words.items()
        if state in seen
    ]
    may = "" if {"committed", "back"} <= seen else "may "
    return Divided(
        "\n".join(
            [
                cause,
                *lines,
                f"hosts {may}differ until the next deploy or rollback: see slipway status,"
                f" then deploy {tag} again, or roll back",
            ]
        )
    )


@dataclass
class Commit:
    """Brings all prepared hosts to the same release. A host that hears nothing for `seconds` decides by itself."""

    run: Run
    id: str
    seconds: float

    async def decide(self, promise: Step, commit: Step) -> tuple[States, dict[str, HostProblem]]:
        """Let all hosts promise to commit; then commit all or take all back. Return (host → state, host → problem)."""
        failed = await self.run.try_step(promise)
        lost = [name for name, problem in failed.items() if isinstance(problem, Lost)]
        states: States = {name: "open" if name in failed else "promised" for name in promise.hosts}
        states.update(await self.ask_states(lost))
        sick = self.sick()
        on = goes_forward(states, sick)
        states.update(await self.ask_states([name for name in lost if states[name] in OPEN], on))
        on = "committed" in states.values() or (on and "back" not in states.values())
        reached = [name for name in promise.hosts if name not in lost]
        if on:
            failed = {**failed, **await self.forward(replace(commit, hosts=tuple(reached)), states)}
        else:
            failed = {**sick, **failed}
            states.update(await self.back(reached, failed))
        return states, failed

    def sick(self) -> dict[str, HostProblem]:
        """Return {first sick host: problem}, or {}. After a promise, hosts only report; the deployer decides."""
        cause = self.run.cause
        return {cause.host: HostProblem(f"not healthy: {cause}")} if cause else {}

    async def forward(self, step: Step, states: States) -> dict[str, HostProblem]:
        """Run the step `commit`; store the outcomes in `states`. Return host name → problem."""
        failed = await self.run.try_step(step)
        await self.run.hosts.release()
        states.update(dict.fromkeys(step.hosts, "committed"), **await self.ask_states(failed, True))
        return failed

    async def back(self, names: list[str], failed: Mapping[str, HostProblem]) -> States:
        """Take the hosts `names` back, because of the problems in `failed`. Return host name → state. If an agent
        dies before it gets this request, its host keeps its promise and commits."""
        cause = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        await self.run.hosts.take_back(cause, names)
        return await self.ask_states(names, False, cause)

    async def ask_states(self, names: Iterable[str], on: bool | None = None, cause: str = "") -> States:
        """Ask hosts; return host → state. Undecided hosts commit if `on` is True, go back for `cause` if False."""
        return await gather(lambda name: self._ask_state(name, on, cause), names)

    async def _ask_state(self, name: str, on: bool | None, cause: str) -> str | None:
        now = asyncio.get_running_loop().time
        until = now() + self.seconds + LATE
        settled = until + TAKEBACK
        while True:
            began = now()  # a connection that nobody answers may take longer to fail than the host needs to decide
            state = await self._ask(name, on, cause)
            if state in FINAL or (on is None and state in OPEN):
                return state
            if began > (settled if state else until):
                return None
            await asyncio.sleep(PAUSE)

    async def _ask(self, name: str, on: bool | None, cause: str) -> str | None:
        hosts = self.run.hosts
        host = next(host for host in hosts.hosts if host.name == name)
        request = {"id": self.id, "forward": on, "cause": cause[:2000]}
        try:
            decided: AttemptState = await ask_once(host, hosts.fleet.ssh, hosts.fleet.app, "decide", 15, 15, **request)
            return decided["state"]
        except (HostProblem, OSError):  # OSError: broken connections may still hold all file descriptors
            return None
