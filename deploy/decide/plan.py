"""From the fleet's state and a target to the steps of a deploy. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .config import Fleet, Host

PerHost = dict[str, dict[str, Any]]  # host name → more


@dataclass(frozen=True)
class Kind:
    """What there is to know of a step, besides what the agent does for it (agent/steps/).

    `limit`: seconds after which it has failed if it has not answered, besides those it is given: the sum of what it may
    have to wait for on a host; a host that is gone is noticed before, by its silence. `undo`: what a takeback does
    about it; `harmless`: there is nothing to take back.
    """

    limit: int
    undo: str = ""
    harmless: bool = False


KINDS = {  # in their order
    "begin": Kind(600, "a slot that was emptied stays empty", harmless=True),
    "pull": Kind(3600, "the image stays", harmless=True),
    "verdicts": Kind(420, harmless=True),
    "publish": Kind(660, "the files stay, nothing names them"),
    "migrate": Kind(120, "none: the old release works with the new database"),
    "start": Kind(120, "drain and stop what was started"),
    "ready": Kind(120),
    "pause": Kind(120, "old workers consume again"),
    "flip": Kind(120, "flip back to the old slot"),
    "watch": Kind(120),
    "beat": Kind(420, "the old beat again"),
    "prepare": Kind(120, "remove what was written"),
    "promise": Kind(60, "remove what was written"),
    "commit": Kind(240, "none: from here a deploy only goes forward"),
    "prune": Kind(3600),  # of no deploy
}


@dataclass(frozen=True)
class Target:
    """What to bring: `action` is deploy, rollback or restart (a deploy of what is live)."""

    action: str
    tag: str
    digest: str = ""
    exact: bool = False  # whether the digest is that of one image, and as the registry has it
    releases: PerHost = field(default_factory=dict)  # {"image_id", "digest"}, for a rollback
    sources: PerHost = field(default_factory=dict)  # {"reference", "credentials"}, where we serve the image
    judge: str = ""  # a host whose release and ours migrations may part; none where that cannot be


@dataclass(frozen=True)
class Options:
    """What the command line says besides; of the fleet's [rollout] where it says nothing."""

    parallel: int = 0
    bake: bool = True
    allow_incompatible: bool = False
    allow_dirty: bool = False
    credentials: str = ""  # user:password for the registry


@dataclass(frozen=True)
class Step:
    """One thing done on `hosts` (names), `parallel` of them at once (0: all). `args` are the agent's."""

    name: str
    hosts: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)
    parallel: int = 0
    each: PerHost = field(default_factory=dict)  # more args

    @property
    def limit(self) -> int:
        return KINDS[self.name].limit + int(self.args.get("seconds", 0))

    def args_for(self, host: str) -> dict[str, Any]:
        return {**self.args, **self.each.get(host, {})}


Groups = Iterator[tuple[Step, ...]]


def plan(fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options,
         attempt: dict[str, str]) -> list[tuple[Step, ...]]:
    """The steps, in groups: those of a group are done at the same time, one group after the other.

    `attempt`: the "id" of this deploy and "who" does it.
    """
    groups = [*beginning(fleet, hosts, target, options, attempt), *proving(fleet, hosts, target),
              *(turning_back(fleet, hosts) if target.action == "rollback" else turning(fleet, hosts, options)),
              *ending(hosts)]
    return [group for group in (tuple(step for step in group if step.hosts) for group in groups) if group]


def beginning(fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options, attempt: dict[str, Any]) -> Groups:
    """What no visitor and no task notices."""
    names, rollout = all_of(hosts), fleet.rollout
    attempt = {**attempt, "action": target.action, "tag": target.tag, "digest": target.digest, "image_id": "",
               "keep_warm": rollout["keep_warm"], "keep_releases": rollout["keep_releases"], "image": fleet.image}
    each = {name: {"roles": [*host.roles], **target.releases.get(name, {})} for name, host in zip(names, hosts)}
    yield (Step("begin", names, attempt, each=each),)
    yield (Step("pull", names, {"image": fleet.image, "credentials": options.credentials}, each=target.sources),)


def proving(fleet: Fleet, hosts: Sequence[Host], target: Target) -> Groups:
    """The idle slot, until it is ready. Web may start while the database changes; workers would begin to work. To all
    hosts goes the first start: each keeps a record of what becomes of a deploy from there on."""
    names, rollout, judge = all_of(hosts), fleet.rollout, Step("verdicts", (target.judge,) if target.judge else ())
    if target.action != "rollback":
        yield (Step("start", names, {"roles": ["web"]}), judge)  # first, as booting takes longest
        yield (Step("publish", having(hosts, "web")), Step("migrate", names[:1], {"seconds": rollout["migrate"]}))
        yield (Step("start", having(hosts, "worker"), {"roles": ["worker"]}),)
    else:
        yield (judge,)
        yield (Step("start", names, {"roles": ["web", "worker"]}),)
    yield (Step("ready", having(hosts, "web", "worker"), {"seconds": rollout["ready"], "smoke": rollout["smoke"],
                                                          "roles": ["web", "worker"]}),)


def turning(fleet: Fleet, hosts: Sequence[Host], options: Options) -> Groups:
    """Tasks and visitors come to the new release: a first host, then the others, then beat. Each is watched from its
    flip on; the steps called so only give it time."""
    web, rest, rollout = having(hosts, "web"), without(hosts, "web"), fleet.rollout
    parallel = options.parallel or rollout["parallel"]
    watched = {**flip_args(fleet), "watch": {"max_errors": rollout["max_errors"], "alone": rollout["min_healthy"] >= 1}}
    yield (Step("pause", having(hosts, "worker")),)
    yield (Step("flip", web[:1], watched),)
    if rollout["canary"]:
        yield (Step("watch", web[:1], {"seconds": rollout["canary"]}),)
    yield (Step("flip", web[1:], watched, parallel), Step("flip", rest, watched))
    yield (beat(fleet, hosts),)
    if options.bake and rollout["bake"]:
        yield (Step("watch", all_of(hosts), {"seconds": rollout["bake"]}),)


def turning_back(fleet: Fleet, hosts: Sequence[Host]) -> Groups:
    """The same, urgent: visitors first, everywhere."""
    yield (Step("flip", all_of(hosts), flip_args(fleet)),)
    yield (Step("pause", having(hosts, "worker")), beat(fleet, hosts))


def ending(hosts: Sequence[Host]) -> Groups:
    yield (Step("prepare", all_of(hosts)),)
    yield (Step("promise", all_of(hosts)),)
    yield (Step("commit", all_of(hosts)),)


def beat(fleet: Fleet, hosts: Sequence[Host]) -> Step:
    return Step("beat", having(hosts, "beat"), {"seconds": fleet.rollout["ready"]})


def flip_args(fleet: Fleet) -> dict[str, Any]:
    return {"smoke": fleet.rollout["smoke"], "roles": ["web"]}


def all_of(hosts: Sequence[Host]) -> tuple[str, ...]:
    return tuple(host.name for host in hosts)


def having(hosts: Sequence[Host], *roles: str) -> tuple[str, ...]:
    return tuple(host.name for host in hosts if any(host.has(role) for role in roles))


def without(hosts: Sequence[Host], role: str) -> tuple[str, ...]:
    return tuple(host.name for host in hosts if not host.has(role))


def shown(groups: Sequence[tuple[Step, ...]]) -> list[str]:
    """The plan as lines: number, step, hosts, undo. Steps of a group share a number."""
    lines = []
    for number, group in enumerate(groups, 1):
        for step in group:
            roles = f" {'+'.join(step.args['roles'])}" if step.name in ("start", "ready") else ""
            seconds = f" {step.args['seconds']} s" if step.name == "watch" else ""
            turn = f", {step.parallel} at once" if step.parallel and len(step.hosts) > step.parallel else ""
            undo = f"   undo: {KINDS[step.name].undo}" if KINDS[step.name].undo else ""
            lines.append(f"{number:3}. {(step.name + roles + seconds):18} {', '.join(step.hosts)}{turn}{undo}")
    return lines
