"""The steps of a deploy or rollback, from the fleet's state and a target. Pure."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config import Fleet, Host

UPLOAD = 600  # seconds that static files may take into their bucket
PENDING = "where some are pending"  # of the step migrate
PerHost = dict[str, dict[str, Any]]  # host name → more


@dataclass(frozen=True)
class StepKind:
    """A kind of step; agent/steps/ does it.

    `limit`: seconds for it, besides its argument `seconds`; a host that is gone is noticed earlier. `undo`: what a
    takeback does about it; `harmless`: there is nothing to take back.
    """

    limit: int
    undo: str = ""
    harmless: bool = False


STEP_KINDS = {  # in their order
    "begin": StepKind(600, "a slot that was emptied stays empty", harmless=True),
    "pull": StepKind(3600, "the image stays", harmless=True),
    "verdicts": StepKind(900, harmless=True),
    "publish": StepKind(660, "the files stay, nothing names them"),
    "upload": StepKind(120, "the files stay, nothing names them"),
    "migrate": StepKind(120, "none: the old release works with the new database"),
    "start": StepKind(120, "drain and stop what was started"),
    "ready": StepKind(120),
    "pause": StepKind(120, "old workers consume again"),
    "update": StepKind(3600, "update back to the release before"),  # of a swarm
    "flip": StepKind(120, "flip back to the old slot"),
    "watch": StepKind(120),
    "replace": StepKind(480, "the old processes again"),
    "prepare": StepKind(120, "remove what was written"),
    "promise": StepKind(60, "remove what was written, unless a host has committed"),
    "commit": StepKind(240, "none: from here a deploy only goes forward"),
}


@dataclass(frozen=True)
class Target:
    """The release to bring. `action`: deploy, rollback or restart (a deploy of what is live)."""

    action: str
    tag: str
    digest: str = ""
    releases: PerHost = field(default_factory=dict)  # {"image_id", "digest"}, for a rollback
    sources: PerHost = field(default_factory=dict)  # {"reference", "credentials"}, where the image comes by ssh
    judge: str = ""  # the host that judges migrations; "" where there are none to judge


@dataclass(frozen=True)
class Options:
    """What the command line says of a deploy. `parallel`: None for what [rollout] says."""

    parallel: int | None = None
    bake: bool = True
    allow_incompatible: bool = False
    allow_dirty: bool = False
    credentials: str = ""  # user:password for the registry


@dataclass(frozen=True)
class Step:
    """One step on `hosts` (names), all at once. `args` are the agent's."""

    name: str
    hosts: tuple[str, ...]
    args: dict[str, Any] = field(default_factory=dict)
    each: PerHost = field(default_factory=dict)  # host name → more args
    where: str = ""  # it is done only there: see migrations.needed

    @property
    def limit(self) -> int:
        """Seconds after which it has failed where no answer has come."""
        return STEP_KINDS[self.name].limit + int(self.args.get("seconds", 0))

    def args_for(self, host: str) -> dict[str, Any]:
        """The agent's arguments on one host."""
        return {**self.args, **self.each.get(host, {})}


Groups = Iterator[tuple[Step, ...]]


def plan(fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options,
         attempt: dict[str, str]) -> list[tuple[Step, ...]]:
    """Return the steps in groups: a group's at the same time, one group after the other. `attempt`: its "id", and
    "who"."""
    groups = [*beginning(fleet, hosts, target, options, attempt), *starting(fleet, hosts, target),
              *(switching_back(fleet, hosts) if target.action == "rollback" else switching(fleet, hosts, options)),
              *committing(hosts)]
    return [group for group in (tuple(step for step in group if step.hosts) for group in groups) if group]


def beginning(fleet: Fleet, hosts: Sequence[Host], target: Target, options: Options, attempt: dict[str, Any]) -> Groups:
    """Begin and pull, which neither visitors nor tasks notice."""
    names, rollout = all_of(hosts), fleet.rollout
    attempt = {**attempt, "action": target.action, "tag": target.tag, "digest": target.digest, "image_id": "",
               "image": fleet.image, **{key: rollout[key] for key in ("keep_warm", "drain", "keep_releases")},
               **({"allow_incompatible": True} if options.allow_incompatible else {})}
    each = {name: {"roles": [*host.roles], **target.releases.get(name, {})} for name, host in zip(names, hosts)}
    yield (Step("begin", names, attempt, each=each),)
    yield (Step("pull", names, {"image": fleet.image, "credentials": options.credentials}, each=target.sources),)


def starting(fleet: Fleet, hosts: Sequence[Host], target: Target) -> Groups:
    """Start the idle slot, until it is ready. Web may start while the database changes; workers would begin to work.
    The first start goes to all hosts: from there on each keeps a record of the deploy."""
    names, rollout, judge = all_of(hosts), fleet.rollout, Step("verdicts", (target.judge,) if target.judge else ())
    behind = having_behind(fleet, hosts)
    if target.action != "rollback":
        yield (Step("start", names, {"roles": ["web"]}), judge, Step("publish", having(hosts, "web")),
               upload(fleet, names))
        yield (Step("migrate", names[:1], {"seconds": rollout["migrate"]},
                    where=PENDING if target.judge and not rollout["always_migrate"] else ""),)
        yield (Step("start", having(hosts, *behind), {"roles": behind}),)
        yield (ready(fleet, hosts, ["web", *behind]),)
    else:
        yield (judge,)
        yield (Step("start", names, {"roles": ["web"]}),)
        yield (ready(fleet, hosts, ["web"]),)


def ready(fleet: Fleet, hosts: Sequence[Host], roles: list[str]) -> Step:
    """The step that waits until these roles work."""
    return Step("ready", having(hosts, *roles), {"seconds": fleet.rollout["ready"], "smoke": fleet.rollout["smoke"],
                                                 "roles": roles})


def having_behind(fleet: Fleet, hosts: Sequence[Host]) -> list[str]:
    """The roles besides web that run in slots here."""
    return [role for role in fleet.behind_web() if having(hosts, role)]


def upload(fleet: Fleet, names: Sequence[str]) -> Step:
    """The step that brings static files into the bucket that all hosts' pages name, if there is one: from one host."""
    bucket = fleet.static["publish"]
    return Step("upload", tuple(names[:1]) if bucket else (), {"bucket": bucket, "seconds": UPLOAD})


def switching(fleet: Fleet, hosts: Sequence[Host], options: Options) -> Groups:
    """Bring tasks and visitors to the new release: on the canary, then in waves, then what runs alone. Each host is
    watched from its flip on; the steps called watch only give it time."""
    web, rollout = having(hosts, "web"), fleet.rollout
    rest = tuple(name for name in all_of(hosts) if name not in web)
    cap = rollout["parallel"] if options.parallel is None else options.parallel
    watched = {"smoke": rollout["smoke"], "max_errors": rollout["max_errors"]}
    yield (Step("pause", having(hosts, "worker")),)
    yield (Step("flip", web[:1], watched),)
    if rollout["canary"]:
        yield (Step("watch", web[:1], {"seconds": rollout["canary"]}),)
    second, *others = [*waves(web[1:], cap), ()]
    yield (Step("flip", second, watched), Step("flip", rest, watched))
    yield from ((Step("flip", wave, watched),) for wave in others)
    alone = replace(fleet, hosts)
    yield from ((dataclasses.replace(alone, hosts=wave),) for wave in (alone.hosts[:1], *waves(alone.hosts[1:], cap)))
    if options.bake and rollout["bake"]:
        yield (Step("watch", all_of(hosts), {"seconds": rollout["bake"]}),)


def waves(names: Sequence[str], cap: int) -> Iterator[tuple[str, ...]]:
    """The names in waves: after a canary 2, 4, 8 and so on, with a `cap` never more than that (0: none)."""
    size = 2
    while names:
        many = min(size, cap or size)
        yield tuple(names[:many])
        names, size = names[many:], size * 2


def switching_back(fleet: Fleet, hosts: Sequence[Host]) -> Groups:
    """The same for a rollback, which is urgent: visitors first, on all hosts at once. Then the rest, which the agent
    tells of and lets pass where it does not get ready."""
    behind = having_behind(fleet, hosts)
    yield (Step("flip", all_of(hosts), {"smoke": fleet.rollout["smoke"]}),)
    yield (Step("pause", having(hosts, "worker")), Step("start", having(hosts, *behind), {"roles": behind}))
    yield (ready(fleet, hosts, behind),)
    yield (replace(fleet, hosts),)


def committing(hosts: Sequence[Host]) -> Groups:
    """Commit in two phases; only the last is final."""
    yield (Step("prepare", all_of(hosts)),)
    yield (Step("promise", all_of(hosts)),)
    yield (Step("commit", all_of(hosts)),)


def replace(fleet: Fleet, hosts: Sequence[Host]) -> Step:
    """The step that moves what runs alone to the new release, and ends what does not stay in the old slot."""
    passing = [name for name in fleet.behind_web() if not fleet.processes[name].stays]
    return Step("replace", having(hosts, *fleet.alone(), *passing), {"seconds": fleet.rollout["ready"]})


def judge(hosts: Sequence[Host]) -> str:
    """Return the host that judges migrations, one with a web if there is one; "" without hosts."""
    return next((host.name for host in sorted(hosts, key=lambda host: not host.has("web"))), "")


def all_of(hosts: Sequence[Host]) -> tuple[str, ...]:
    """The names of hosts."""
    return tuple(host.name for host in hosts)


def having(hosts: Sequence[Host], *roles: str) -> tuple[str, ...]:
    """The names of the hosts that have one of these roles."""
    return tuple(host.name for host in hosts if any(host.has(role) for role in roles))


def shown(groups: Sequence[tuple[Step, ...]]) -> list[str]:
    """The plan as lines: number, step, hosts, undo. Steps of a group share a number."""
    lines = []
    for number, group in enumerate(groups, 1):
        for step in group:
            roles = f" {'+'.join(step.args['roles'])}" if step.name in ("start", "ready") else ""
            seconds = f" {step.args['seconds']} s" if step.name == "watch" else ""
            undo = f"   undo: {STEP_KINDS[step.name].undo}" if STEP_KINDS[step.name].undo else ""
            where = f", {step.where}" if step.where else ""
            lines.append(f"{number:3}. {(step.name + roles + seconds):18} {', '.join(step.hosts)}{where}{undo}")
    return lines
