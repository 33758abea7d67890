"""The end of a deploy: all hosts promise, all commit; or all go back. A host whose answer is lost then may go either
way by itself, so it is asked over another connection, and told, while that is still open."""

import time
from dataclasses import dataclass, replace

from .connection import Connection, Lost
from .crew import TAKEBACK
from .errors import Divided, HostProblem, Taken, on_hosts
from .together import together

OPEN = ("promised", "open")
FINAL = ("committed", "back", "stuck")
PATIENCE = 5  # seconds that a host may be later than it should
PAUSE = 0.5


def forward(fates, sick=()):
    """Which way all should go, by what is known of each host: where one has committed, forward; where one is back or
    goes there, or more are `sick` than may be, back. One that nothing is known of counts for neither."""
    known = set(fates.values())
    return "committed" in known or not sick and not known & {"open", "back"}


def told(fates, failed, tag):
    """The error that says how it ended, from what Ending.run returns; None where all have committed."""
    known = set(fates.values())
    if known == {"committed"}:
        return None
    cause = on_hosts({name: [str(problem)] for name, problem in failed.items()})
    if known == {"back"}:
        return Taken(f"{cause}\ntaken back: every host is as it was")
    words = {"committed": f"on {tag}", "back": "on the release before", "stuck": "not whole, for the next deploy or"
             " rollback to settle", None: f"can't be asked; on {tag} or on the release before"}
    lines = [f"{', '.join(name for name in fates if fates[name] == fate)}: {text}"
             for fate, text in words.items() if fate in known]
    return Divided("\n".join([cause, *lines, f"hosts differ: see make status, then deploy {tag} again, or roll back"]))


@dataclass
class Ending:
    """Brings the hosts of a crew, all prepared, to one release. `id`: of the attempt; `seconds`: after which a host
    that hears nothing decides by itself."""

    crew: object
    id: str
    seconds: float

    def run(self, promise, commit):
        """(host name → "committed", "back", "stuck", or None where that can't be known; host name → what went wrong).

        Those that answer wait: they are told last, when it is known which way the others have gone."""
        failed = self.crew.attempt(promise)
        lost = [name for name, problem in failed.items() if isinstance(problem, Lost)]
        fates = {name: "open" if name in failed else "promised" for name in promise.hosts}
        fates.update(self.learn(lost))
        sick = self.sick()
        on = forward(fates, sick)
        fates.update(self.learn([name for name in lost if fates[name] in OPEN], on))
        on = "committed" in fates.values() or on and "back" not in fates.values()
        there = [name for name in promise.hosts if name not in lost]
        if on:
            failed = {**failed, **self.commit(replace(commit, hosts=tuple(there)), fates)}
        else:
            failed = {**sick, **failed}
            fates.update(self.back(there, failed))
        return fates, failed

    def sick(self):
        """host name → what is amiss there, where more are not well than may be: who has promised leaves it to us."""
        found = dict(self.crew.sick)
        return {name: HostProblem(f"not healthy: {text}") for name, text in found.items()
                if len(found) > self.crew.spare}

    def commit(self, step, fates):
        """From here on only forward; what went wrong on the way."""
        failed = self.crew.attempt(step)
        self.crew.release()
        fates.update({name: "committed" for name in step.hosts}, **self.learn(failed, True))
        return failed

    def back(self, names, failed):
        """host name → its fate, when those that answer are told to go back. Each is asked which way it went: one whose
        agent has died before it heard that has committed, as it had promised."""
        cause = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        self.crew.take_back(cause, names)
        return self.learn(names, False, cause)

    def learn(self, names, on=None, cause=""):
        """host name → what becomes of each, asked anew; `on`: whether it shall go forward, if that is still open."""
        return together(lambda name: self._learn(name, on, cause), names)

    def _learn(self, name, on, cause):
        until = time.monotonic() + self.seconds + PATIENCE
        late = until + TAKEBACK
        while True:
            fate = self._ask(name, on, cause)
            if fate in FINAL or on is None and fate in OPEN:
                return fate
            if time.monotonic() > (late if fate else until):
                return None
            time.sleep(PAUSE)

    def _ask(self, name, on, cause):
        host = next(host for host in self.crew.hosts if host.name == name)
        connection = Connection(host, self.crew.ssh, self.crew.fleet.app)
        try:
            connection.open(patience=15)
            try:
                return connection.ask("decide", 15, id=self.id, forward=on, cause=cause[:2000])["fate"]
            finally:
                connection.close()
        except HostProblem:
            return None
