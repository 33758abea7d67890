"""The steps of a deploy or rollback. Does no I/O."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..agent.steps.step import Kind
from ..agent.steps.table import KINDS
from ..config import Fleet, Host

UPLOAD = 600  # seconds for uploading static files to the bucket
PENDING = "if some are pending"  # the condition of the step migrate, and of what follows from it
PerHost = dict[str, dict[str, Any]]  # host name → values for this host only


STEP_KINDS = {**KINDS, "update": Kind(3600, None, "roll back to the previous release")}  # update: Swarm's only step


@dataclass(frozen=True)
class Target:
    """The release to which a rollout goes."""

    action: str  # deploy, rollback, or restart (of the live release)
    tag: str
    digest: str = ""
    releases: PerHost = field(default_factory=dict)  # {"image_id", "digest"} of the release, for a rollback
    sources: PerHost = field(default_factory=dict)  # {"reference", "credentials"} to pull by ssh's forwarded port
    judge: str = ""  # the host that judges migrations; "": nothing to judge
    unpublished: tuple[str, ...] = ()  # the hosts that may lack the static files of a rollback's release


@dataclass(frozen=True)
class Options:
    """The operator's permissions, and the registry's login."""

    allow_incompatible: bool = False
    allow_dirty: bool = False
    credentials: str = ""  # user:password for the registry


@dataclass(frozen=True)
class Step:
    """A step of a rollout on some of its hosts."""

    name: str
    hosts: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)
    each: PerHost = field(default_factory=dict)  # host name → further arguments of the step on this host
    where: str = ""  # PENDING: run the step only if migrations are pending

    @property
    def limit(self) -> int:
        return STEP_KINDS[self.name].limit + int(self.args.get("seconds", 0))

    def args_for(self, host: str) -> dict[str, Any]:
        return {**self.args, **self.each.get(host, {})}


Groups = Iterator[tuple[Step, ...]]


def plan(
    fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options, attempt: dict[str, str]
) -> list[tuple[Step, ...]]:
    """Return step groups. A group's steps run in parallel. `attempt`: the rollout's "id" and description ("who")."""
    groups = [
        *begin_steps(fleet, hosts, target, options, attempt),
        *start_steps(fleet, hosts, target),
        *(switch_back_steps(fleet, hosts) if target.action == "rollback" else switch_steps(fleet, hosts)),
        *((Step(name, names_of(hosts)),) for name in ("prepare", "promise", "commit")),
    ]
    return [group for group in (tuple(step for step in group if step.hosts) for group in groups) if group]


def begin_steps(
    fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options, attempt: dict[str, Any]
) -> Groups:
    """Yield the first steps, `begin` and `pull`."""
    names = names_of(hosts)
    rollout = fleet.rollout
    attempt = {
        **attempt,
        "action": target.action,
        "tag": target.tag,
        "digest": target.digest,
        "image_id": "",
        "image": fleet.image,
        **{key: rollout[key] for key in ("keep_warm", "drain", "keep_releases")},
        **({"allow_incompatible": True} if options.allow_incompatible else {}),
    }
    yield (Step("begin", names, attempt, each=target.releases),)
    yield (Step("pull", names, {"image": fleet.image, "credentials": options.credentials}, each=target.sources),)


def start_steps(fleet: Fleet, hosts: Sequence[Host], target: Target) -> Groups:
    """Yield the steps that start the new release in the idle slot. Workers start after migrations, because they take
    tasks at once. A web that exits before the migrations may need them: it starts again."""
    names = names_of(hosts)
    rollout = fleet.rollout
    judge = Step("verdicts", (target.judge,) if target.judge else ())
    behind = roles_behind_web(fleet, hosts)
    bucket = fleet.static["publish"]
    start = Step("start", names_with(hosts, "web"), {"roles": ["web"]})
    if target.action != "rollback":
        yield (
            start,
            judge,
            Step("publish", names_with(hosts, "web")),
            Step("upload", names[:1] if bucket else (), {"bucket": bucket, "seconds": UPLOAD}),
        )
        where = PENDING if target.judge and not rollout["always_migrate"] else ""
        limits = {"seconds": rollout["migrate"], "max_lock": rollout["max_lock"]}
        yield (Step("migrate", names[:1], limits, where=where),)
        yield (Step("start", names_with(hosts, "web"), {"roles": ["web"], "migrated": True}, where=where),)
        yield (Step("start", names_with(hosts, *behind), {"roles": behind}),)
        yield (ready(fleet, hosts, ["web", *behind]),)
    else:
        yield (judge,)
        yield (start, Step("publish", tuple(name for name in start.hosts if name in target.unpublished)))
        yield (ready(fleet, hosts, ["web"]),)


def ready(fleet: Fleet, hosts: Sequence[Host], roles: list[str]) -> Step:
    return Step(
        "ready",
        names_with(hosts, *roles),
        {"seconds": fleet.rollout["ready"], "smoke": fleet.rollout["smoke"], "roles": roles},
    )


def roles_behind_web(fleet: Fleet, hosts: Sequence[Host]) -> list[str]:
    return [role for role in fleet.behind_web() if names_with(hosts, role)]


def switch_steps(fleet: Fleet, hosts: Sequence[Host]) -> Groups:
    """Yield the steps that pause old workers, then move visitors, then replace processes without `overlap`. Visitors
    move on one host first (the canary), then in waves. `flip` begins to watch a host; `watch` waits for problems."""
    web = names_with(hosts, "web")
    rollout = fleet.rollout
    cap = rollout["parallel"]
    rest = tuple(name for name in names_of(hosts) if name not in web)
    watched = {"smoke": rollout["smoke"], "max_errors": rollout["max_errors"]}
    yield (Step("pause", names_with(hosts, "worker")),)
    yield (Step("flip", web[:1], watched),)
    if rollout["canary"]:
        yield (Step("watch", web[:1], {"seconds": rollout["canary"]}),)
    second, *others = [*waves(web[1:], cap), ()]
    yield (Step("flip", second, watched), Step("flip", rest, watched))
    yield from ((Step("flip", wave, watched),) for wave in others)
    alone = replace(fleet, hosts)
    yield from ((dataclasses.replace(alone, hosts=wave),) for wave in (alone.hosts[:1], *waves(alone.hosts[1:], cap)))
    if rollout["bake"]:
        yield (Step("watch", names_of(hosts), {"seconds": rollout["bake"]}),)


def waves(names: Sequence[str], cap: int) -> Iterator[tuple[str, ...]]:
    """Split `names` into waves of 2, 4, 8… names, but of at most `cap` names (0: no limit)."""
    size = 2
    while names:
        many = min(size, cap or size)
        yield tuple(names[:many])
        names = names[many:]
        size *= 2


def switch_back_steps(fleet: Fleet, hosts: Sequence[Host]) -> Groups:
    """Yield the steps of a rollback: first they move visitors, who cannot wait, then tasks. If a role other than web
    does not get ready, the agent reports this, but does not fail."""
    behind = roles_behind_web(fleet, hosts)
    yield (Step("flip", names_of(hosts), {"smoke": fleet.rollout["smoke"]}),)
    yield (Step("pause", names_with(hosts, "worker")), Step("start", names_with(hosts, *behind), {"roles": behind}))
    yield (ready(fleet, hosts, behind),)
    yield (replace(fleet, hosts),)


def replace(fleet: Fleet, hosts: Sequence[Host]) -> Step:
    """Return the step that replaces processes without `overlap`, and stops the team's own processes in the old slot."""
    passing = [name for name in fleet.behind_web() if not fleet.processes[name].stays]
    return Step("replace", names_with(hosts, *fleet.alone(), *passing), {"seconds": fleet.rollout["ready"]})


def judging_host(hosts: Sequence[Host]) -> str:
    """Return the name of the host that examines the migrations, preferably one with web; "" if `hosts` is empty."""
    return next((host.name for host in sorted(hosts, key=lambda host: not host.has("web"))), "")


def names_of(hosts: Sequence[Host]) -> tuple[str, ...]:
    return tuple(host.name for host in hosts)


def names_with(hosts: Sequence[Host], *roles: str) -> tuple[str, ...]:
    return tuple(host.name for host in hosts if any(host.has(role) for role in roles))


def table_rows(groups: Sequence[tuple[Step, ...]]) -> list[tuple[str, ...]]:
    """Return the plan as rows of a table. The steps of a group get the same number."""
    rows: list[tuple[str, ...]] = [("", "step", "hosts", "a takeback")]
    for number, group in enumerate(groups, 1):
        for step in group:
            roles = f" {'+'.join(step.args['roles'])}" if step.name in ("start", "ready") else ""
            seconds = f" {step.args['seconds']} s" if step.name == "watch" else ""
            hosts = ", ".join(step.hosts) + (f", {step.where}" if step.where else "")
            rows.append((f"{number}.", step.name + roles + seconds, hosts, STEP_KINDS[step.name].takeback))
    return rows
