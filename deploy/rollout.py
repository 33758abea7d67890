"""A deploy or rollback from beginning to end: looks, decides, does, and takes back when it goes wrong."""

import contextlib
import os
import secrets
import signal
import time
from dataclasses import dataclass, field, replace

from . import gate, hooks, preflight, source
from .crew import Crew, StepFailed
from .ending import Ending, told
from .errors import DeployError, Divided, Interrupted, Locked, Refused, Taken, on_hosts
from .plan import Options, Target, plan
from .remote import who


@dataclass
class Rollout:
    """What is asked for. `tag` may be empty for a rollback; `to`: the rollback's goal was named."""

    fleet: object
    ssh: object
    hosts: list
    tell: object
    action: str
    tag: str = ""
    options: Options = Options()
    skip_unreachable: bool = False
    timings: dict = field(default_factory=dict)
    id: str = field(default_factory=lambda: secrets.token_hex(6))

    def plan(self):
        """The groups of steps that would be done. Nothing is changed. Raises Refused."""
        with self._crew() as crew, contextlib.ExitStack() as stack:
            return self._decide(crew, stack)[1]

    def run(self):
        """Do it. Raises Refused, Locked, DeployError when it was taken back, Divided."""
        began = time.monotonic()
        with signals() as heed, self._crew() as crew, contextlib.ExitStack() as stack:
            try:
                target, groups, facts = self._decide(crew, stack)
                preflight.nobody_else(facts)
                record = self._record(target, crew)
                hooks.run(self.fleet.hooks["before"], record, must=True)
                self._do(crew, groups, target, heed)
            except Interrupted as error:
                raise Refused(f"{error}: nothing was changed") from None
            except DeployError as error:
                if isinstance(error, (Taken, Divided)):
                    hooks.run(self.fleet.hooks["failed"], {**record, "outcome": "failed", "seconds": since(began),
                                                           "cause": str(error)})
                raise
            seconds = since(began)
            hooks.run(self.fleet.hooks["committed"], {**record, "outcome": "committed", "seconds": seconds})
            self.tell({"event": "result", "outcome": "committed", "action": target.action, "tag": target.tag,
                       "seconds": seconds, "text": f"{target.tag} is live on {', '.join(record['hosts'])}"
                                                   f" ({seconds:.1f} s)"})

    # ---- deciding ----

    def _crew(self):
        return Crew(self.fleet, self.ssh, self.hosts, self.tell, timings=self.timings, shared=self._serves())

    def _serves(self):
        """Whether the image goes to the hosts through our connections."""
        return self.fleet.registry == "ssh" and self.action == "deploy"

    def _decide(self, crew, stack):
        """(Target, groups of steps, facts) after a look at all hosts. Raises Refused with all problems of all hosts."""
        silent = crew.connect(self.skip_unreachable)
        facts, more = crew.look(paths=lambda host: list(preflight.expected(self.fleet, host)),
                                tag=lambda host: self.tag)
        silent.update(more)
        if not facts:
            raise Refused(on_hosts(silent))
        try:
            target, texts = self._target(crew, facts, stack)
        except Refused as error:
            raise Refused("\n".join(filter(None, [str(error), on_hosts(silent)]))) from None
        found = {**preflight.problems(self.fleet, crew.hosts, facts, target), **silent}
        if texts or found:
            raise Refused("\n".join([*texts, *filter(None, [on_hosts(found)])]))
        for name, text in preflight.warnings(crew.hosts, facts):
            self.tell({"event": "warning", "host": name, "text": text})
        if target.action == "deploy" or self.tag and target.action == "rollback":
            target = replace(target, judge=next((host.name for host in crew.hosts if facts[host.name]["tag"]), ""))
        options = replace(self.options, credentials=self._credentials())
        return target, plan(self.fleet, crew.hosts, target, options, {"id": self.id, "who": self._who(target)}), facts

    def _target(self, crew, facts, stack):
        """(Target, why there is none)."""
        if self.action == "rollback":
            releases = preflight.recorded(facts, self.tag) if self.tag else preflight.revert_of(facts)
            tag = self.tag or next(iter(releases.values()))["tag"]
            known = {name: (found.get("tag") or {}).get("tag") for name, found in facts.items()}
            if set(known.values()) == {tag}:
                raise Refused(f"{tag} is live already")
            return Target("rollback", tag, releases={name: goal(release, facts[name])
                                                     for name, release in releases.items()}), []
        live = {(found["tag"] or {}).get("tag") for found in facts.values()}
        action = "restart" if live == {self.tag} else "deploy"
        if self._serves():
            return self._served(crew, stack, action), []
        try:
            found = self._resolved(crew, facts)
        except StepFailed as error:
            return Target(action, self.tag), [f"on {error.host}: {error.problem}"]
        return Target(action, self.tag, found["digest"], exact=not found["index"]), []

    def _served(self, crew, stack, action):
        """The Target that we serve ourselves for as long as the stack is open."""
        from . import registry  # takes longer to load than a rollback should wait
        server = stack.enter_context(registry.serve(f"{self.fleet.image}:{self.tag}"))
        stack.callback(lambda: self.tell({"event": "sent", "bytes": server.sent}))
        sources = {name: {"reference": f"127.0.0.1:{port}/app", "credentials": server.login}
                   for name, port in crew.forward(server.port).items()}
        return Target(action, self.tag, server.digest, sources=sources)

    def _resolved(self, crew, facts):
        """What the tag stands for, as the first host sees it."""
        return crew.resolve(crew.hosts[0].name, image=self.fleet.image, tag=self.tag, credentials=self._credentials(),
                            architectures=sorted({found["arch"] for found in facts.values()}))

    def _credentials(self):
        name = self.fleet.registry_login
        if name and not os.environ.get(name):
            raise Refused(f"registry.login: {name} is not set, it holds user:password for the registry")
        return os.environ[name] if name else ""

    def _who(self, target):
        return who(f"{target.action} {target.tag}")

    def _record(self, target, crew):
        return {"version": 1, "id": self.id, "app": self.fleet.app, "action": target.action,
                "tag": target.tag, "digest": target.digest, "who": self._who(target),
                "hosts": [host.name for host in crew.hosts]}

    # ---- doing ----

    def _do(self, crew, groups, target, heed):
        """Lock, step after step, and at the first failure all back. Of what all have prepared Ending has the say."""
        changed = False
        try:
            crew.lock(self._who(target))
            for group in groups:
                if group[0].name == "promise":
                    heed.clear()
                    break
                changed = changed or group[0].name not in ("begin", "pull", "verdicts")
                crew.spare = self._spare(crew, group[0])
                answers = crew.run(group)
                source.check(answers, target, self.options.allow_dirty, self.tell)
                gate.check(answers, target.action, self.options.allow_incompatible)
            for name, text in crew.sick.items():
                self.tell({"event": "unhealthy", "host": name, "text": f"not healthy, and let pass: {text}"})
        except BaseException as error:
            heed.clear()
            self._take_back(crew, error, changed)
        self._end(crew, groups[-2][0], groups[-1][0], target)

    def _spare(self, crew, step):
        """How many hosts may be sick in a step: from the bake on all but `min_healthy` of them."""
        if crew.spare or step.name == "watch" and len(step.hosts) == len(crew.hosts):
            return int((1 - self.fleet.rollout["min_healthy"]) * len(crew.hosts) + 1e-9)
        return 0

    def _take_back(self, crew, error, changed):
        """Have all hosts go back, and raise what then is to be told."""
        ends = crew.take_back(str(error) or type(error).__name__)
        error = crew.evidence(error, ends)
        if not isinstance(error, DeployError):
            raise error
        lost = [name for name, end in ends.items() if end is None]
        fates = self._ending(crew).learn(lost, False, str(error))
        stuck = [name for name, end in ends.items() if end and end.get("attempt") or fates.get(name) == "stuck"]
        unknown = [name for name in lost if fates[name] not in ("back", "stuck")]
        if stuck or unknown:
            raise Divided("\n".join([str(error), *self._not_back(stuck, unknown)])) from None
        if isinstance(error, (Refused, Locked)):
            raise error
        if not changed and not isinstance(error, Interrupted):
            raise Taken(f"{error}\nnothing was changed, but for images that were pulled")
        raise Taken(f"{error}\ntaken back: {'every host is as it was' if lost else serving(ends)}") from None

    def _not_back(self, stuck, unknown):
        """Lines of hosts of which it is not known that they are back, whole."""
        if stuck:
            yield (f"{', '.join(stuck)}: could not be taken back whole, see make status; the next deploy or rollback"
                   " tries again")
        if unknown:
            yield (f"taken back; {', '.join(unknown)} can't be asked and does the same within"
                   f" {self.fleet.rollout['dead_after']} s of its last word: see make status")

    def _ending(self, crew):
        return Ending(crew, self.id, self.fleet.rollout["dead_after"])

    def _end(self, crew, promise, commit, target):
        """All hosts are prepared. Raises Taken or Divided where they don't all commit."""
        fates, failed = self._ending(crew).run(promise, commit)
        error = told(fates, failed, target.tag)
        if error:
            raise error
        for name, problem in failed.items():
            self.tell({"event": "committed", "host": name, "text": f"has committed, though {problem}"})


def serving(ends):
    """What visitors get after a takeback, by what the hosts say of themselves then."""
    first = ends and not any(end and end.get("tag") for end in ends.values())
    return "no release is live yet, as before" if first else "the old release serves everywhere"


def since(began):
    """Seconds, to a tenth."""
    return round(time.monotonic() - began, 1)


def goal(release, facts):
    """What an attempt needs to know of the release that a rollback goes to."""
    known = [record.get("digest") for record in facts["known"] if record["tag"] == release["tag"]]
    return {"image_id": release["image_id"], "digest": release.get("digest") or (known or [""])[-1]}


@contextlib.contextmanager
def signals():
    """INT, TERM and HUP raise Interrupted, once, while the set that the block gets is not empty; afterwards they are
    let pass, as what is going on then must come to its end."""
    heed, old = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}, {}

    def interrupt(number, frame):
        if heed:
            heed.clear()
            raise Interrupted(f"interrupted by {signal.Signals(number).name}")
    for number in tuple(heed):
        old[number] = signal.signal(number, interrupt)
    try:
        yield heed
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
