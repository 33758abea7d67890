"""The hosts of a deploy, each at the end of its connection: asked all at once, locked, stepped on, taken back."""

import concurrent.futures
import contextlib
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from .connection import Connection, StepProblem
from .errors import DeployError, HostProblem, Refused, on_hosts
from .remote import each, first_alone
from .together import SLICE, outcome, start, together

TAKEBACK = 150  # seconds: two drains, and what is stopped


class StepFailed(DeployError):
    """A step failed on a host: the text says all that is known of it."""

    def __init__(self, step, host, problem):
        self.step, self.host, self.problem, self.more = step, host, str(problem), getattr(problem, "more", {})
        lines = [f"{host}: {step}: {self.problem[:2000]}"]
        if self.more.get("body"):
            lines.append(f"  it answered: {self.more['body'].strip()[:500]}")
        lines += [f"  | {line[:2000]}" for line in self.more.get("log", ())[-50:]]
        super().__init__("\n".join(lines))


@dataclass
class Crew:
    """`hosts` → connections. `tell(event)` hears of everything; `timings`: (step, host) → seconds; `shared`:
    connections can forward a port."""

    fleet: object
    ssh: object
    hosts: list
    tell: object
    connections: dict = field(default_factory=dict)
    locked: list = field(default_factory=list)
    timings: dict = field(default_factory=dict)
    shared: bool = False
    sick: dict = field(default_factory=dict)  # host name → what a host that is watched has told
    spare: int = 0  # how many may be sick
    alarm: object = field(default_factory=concurrent.futures.Future)  # fails when there are more

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="dep", dir="/tmp")  # a socket's path must be short
        return self

    def __exit__(self, *error):
        self._close()
        self.folder.cleanup()

    def _close(self):
        together(lambda name: self.connections[name].close(), list(self.connections))  # one more may come meanwhile

    # ---- before the lock ----

    def connect(self, skip=False):
        """Reach all hosts at once; host name → why it was not, of those that are needed. With `skip` those are left out
        that can't be reached, unless beat runs there. Raises Refused where none was."""
        needed = {host.name for host in self.hosts if not skip or host.has("beat")}
        problems = self.reach()
        if not self.connections:
            raise Refused(on_hosts(problems))
        for name in problems.keys() - needed:
            self.tell({"event": "skipped", "host": name, "problem": problems[name][0]})
        return {name: texts for name, texts in problems.items() if name in needed}

    def reach(self):
        """Reach all hosts at once; from then on they are those that were. host name → why it was not."""
        problems = {}

        def reach(host):
            connection = Connection(host, self.ssh, self.fleet.app, self._hear, self._share(host))
            self.connections[host.name] = connection  # before it is open: who is interrupted closes it
            try:
                connection.open()
            except HostProblem as problem:
                problems[host.name] = list(problem.args)
        each(self.hosts, reach)
        self.hosts = [host for host in self.hosts if host.name not in problems]
        self.connections = {host.name: self.connections[host.name] for host in self.hosts}
        return problems

    def _share(self, host):
        return f"{self.folder.name}/{self.fleet.hosts.index(host)}" if self.shared else ""

    def forward(self, port):
        """Let all hosts reach our port; host name → the port there."""
        def ask(host):
            words = self.ssh.forward(host.address, self._share(host), port)
            done = subprocess.run(words, capture_output=True, text=True, timeout=30)
            if done.returncode:
                raise HostProblem(f"cannot forward a port: {done.stderr.strip()}; sshd must allow AllowTcpForwarding")
            return int(done.stdout)
        return each(self.hosts, ask)

    def look(self, **args):
        """(host name → its facts, host name → why it gave none); from then on the hosts are those that did. `args`:
        name → function of a host."""
        problems = {}

        def ask(host):
            try:
                return self.connections[host.name].ask("look", **{key: value(host) for key, value in args.items()})
            except HostProblem as problem:
                problems[host.name] = list(problem.args)
        facts = each(self.hosts, ask)
        self.hosts = [host for host in self.hosts if host.name not in problems]
        return {host.name: facts[host.name] for host in self.hosts}, problems

    def resolve(self, name, **args):
        """What a host finds that a tag stands for."""
        try:
            return outcome(start(lambda: self.connections[name].ask("resolve", 90, **args)))
        except HostProblem as problem:
            raise StepFailed("resolve", name, problem) from None

    def lock(self, description):
        """Take the locks. Raises Locked, or DeployError for what else kept it from a host, when all have answered."""
        def lock(host):
            with self._timed("lock", host.name):
                self.connections[host.name].lock(description, self.fleet.rollout["dead_after"])
            self.locked.append(host.name)
        first_alone(self.hosts, lock, DeployError)

    # ---- steps ----

    def run(self, group):
        """Do the steps of a group at the same time; {(step, host): answer}. Raises StepFailed at the first failure."""
        answers = {}
        left = {start(self._run_step, step, answers) for step in group}
        while left:
            done, left = concurrent.futures.wait(left | {self.alarm}, SLICE, "FIRST_COMPLETED")
            for future in sorted(done, key=lambda future: future is not self.alarm):  # which tells the cause
                future.result()
            left.discard(self.alarm)
        return answers

    def _run_step(self, step, answers):
        size = step.parallel or len(step.hosts)
        for first in range(0, len(step.hosts), size):
            futures = {start(self._do, step, name): name for name in step.hosts[first:first + size]}
            for future in concurrent.futures.as_completed(futures):
                answers[step.name, futures[future]] = future.result()

    def _do(self, step, name):
        with self._timed(step.name, name):
            try:
                return self.connections[name].ask(step.name, step.limit, **step.args_for(name))
            except HostProblem as problem:
                if step.name == "watch" and name in self.sick and len(self.sick) <= self.spare:
                    return {}
                raise StepFailed(step.name, name, problem) from None

    @contextlib.contextmanager
    def _timed(self, step, host):
        began, state = time.monotonic(), "failed"
        self.tell({"event": "step", "step": step, "host": host, "state": "start"})
        try:
            yield
            state = "done"
        finally:
            seconds = round(time.monotonic() - began, 3)
            self.timings[step, host] = self.timings.get((step, host), 0) + seconds
            self.tell({"event": "step", "step": step, "host": host, "state": state, "seconds": seconds})

    # ---- the end ----

    def run_all(self, step):
        """Do a step on all its hosts, come what may; host name → why not, of those where it failed."""
        return {name: [str(problem)] for name, problem in self.attempt(step).items()}

    def attempt(self, step):
        """The same, with the HostProblems themselves: Lost where it is not known whether it was done."""
        def do(name):
            try:
                with self._timed(step.name, name):
                    self.connections[name].ask(step.name, step.limit, **step.args_for(name))
            except HostProblem as problem:
                return problem
        return {name: problem for name, problem in together(do, step.hosts).items() if problem}

    def take_back(self, cause, names=None):
        """Have all hosts that are locked, or these, take themselves back; host name → how it is then, None where
        unknown."""
        names = self.locked if names is None else names
        for name in names:
            self.connections[name].abort(cause=cause[:2000])
        self.tell({"event": "takeback", "hosts": list(names), "state": "start"})
        return together(lambda name: self.connections[name].aborted(TAKEBACK), names)

    def evidence(self, error, ends):
        """The error with the log of the container that it is about, where it is about one. To be asked for when
        visitors are well again: reading a journal may take long. `ends`: what take_back returned."""
        if not isinstance(error, StepFailed) or not error.more.get("log_of") or not ends.get(error.host):
            return error
        name, since = error.more["log_of"]
        with contextlib.suppress(HostProblem):
            log = self.connections[error.host].ask("said", 20, name=name, since=since)["log"]
            return StepFailed(error.step, error.host, StepProblem(error.problem, {**error.more, "log": log}))
        return error

    def release(self):
        """Give the locks back."""
        together(lambda name: self.connections[name].end(), self.locked)

    def _hear(self, host, event):
        if event["event"] == "sick":
            return self._hear_sick(host.name, event)
        self.tell({**event, "host": host.name})

    def _hear_sick(self, name, event):
        """A host that is watched is not well. More of them than may be so fail whatever is under way, at once."""
        self.sick.setdefault(name, event["problem"])
        self.tell({"event": "sick", "host": name, "text": f"not healthy: {event['problem']}"})
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # two hosts at a time
            if len(self.sick) > self.spare:
                self.alarm.set_exception(StepFailed("watch", name, StepProblem(event["problem"], event["more"])))
