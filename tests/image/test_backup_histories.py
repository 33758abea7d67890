"""Random histories of a database and its backups: writes, restores to moments before and after earlier ones, swaps,
kills, a place that is away, is full or loses a file. What comes back is what the moment had, or one line says why
not."""

import contextlib
import functools
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from engine import docker
from image import backup_histories, backup_server
from image.backup_histories import Killed, Killer
from image.backup_server import Server
from slipway.deploy.backup import postgres, restore
from slipway.deploy.backup.commands import alone
from slipway.deploy.backup.repository import Repository
from slipway.deploy.backup.shell import Problem

HISTORIES = int(os.environ.get("HISTORIES", "0"))  # more of them than a push runs: each takes a minute
KILLS = st.none() | st.tuples(st.integers(1, 25), st.booleans())
PICKS = st.integers(0, 7)
build = functools.cache(backup_server.build)


@dataclass(frozen=True)
class Moment:
    at: float
    rows: tuple[int, ...]
    timeline: int


class Histories(RuleBasedStateMachine):
    """The oracle: `living`: the rows now, on `timeline`; `moments`: what was when; `sent`: the rows that the place has;
    `sure`: the moments that must come back; `copies`: volume → rows; `pending`: the volume of a swap that was killed,
    which the service may run on, too; `whole`: since when the place has lost nothing; `hole`: the timeline whose newest
    segment is lost."""

    def __init__(self):
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        self.server = Server(tempfile.mkdtemp(prefix="bk-", dir="/tmp"), self.patches, build())
        self.killer = Killer(self.server, self.patches)
        self.living, self.timeline, self.moments, self.sent, self.sure = (), 1, [], (), set()
        self.copies, self.pending, self.kept, self.whole, self.hole, self.lost = {}, "", set(), 0, 0, False
        self.alive, self.away, self.full, self.failed = True, False, False, True
        self.server.mount_place()
        self.server.begin()
        time.sleep(max(0, self.server.state("base")["made"] - time.time()))
        self.failed = False

    # ---- steps ----

    @precondition(lambda self: self.alive)
    @rule(sent=st.booleans())
    def write(self, sent):
        with self.step():
            self.server.add(len(self.moments) + 1)
            self.living = (*self.living, len(self.moments) + 1)
            self.moments.append(Moment(self.server.now(), self.living, self.timeline))
            if sent:
                self.do("wal")

    @rule(action=st.sampled_from(["wal", "base", "full", "drill", "prune"]), kill=KILLS)
    def keep(self, action, kill):
        with self.step():
            self.do(action, kill)

    @rule(pick=PICKS, kill=KILLS, swapped=st.booleans())
    def restore(self, pick, kill, swapped):
        """A moment, or the newest second, and often its swap."""
        with self.step():
            self.bring(self.moments[-pick] if 0 < pick <= len(self.moments) else None, kill if not swapped else None)
            if swapped and self.copied():
                self.do_swap(kill)

    @precondition(lambda self: self.copied())
    @rule(kill=KILLS)
    def swap(self, kill):
        with self.step():
            self.do_swap(kill)

    @precondition(lambda self: self.copied())
    @rule(kill=KILLS)
    def discard(self, kill):
        with self.step():
            if self.do("discard", kill) == "done":
                self.pending = ""

    @precondition(lambda self: not self.away and self.alive and not self.pending)
    @rule(both=st.sampled_from([("base", "wal"), ("drill", "wal"), ("base", "drill")]), kill=KILLS)
    def at_once(self, both, kill):
        """A kill ends both, as a power cut does."""
        with self.step(), ThreadPoolExecutor() as pool, self.killer.at(kill):
            for action, outcome in zip(both, pool.map(self.attempt, both), strict=True):
                self.hear(action, outcome)

    @rule(fault=st.sampled_from(["place", "full", "database", "segment", "volume"]), pick=st.integers(0, 2))
    def fault(self, fault, pick):
        """The place goes or returns, or has no room or some again, the database dies or starts, a segment or the whole
        volume is lost."""
        with self.step():
            if fault == "place":
                self.server.move_place(not self.away)
                self.away = not self.away
            elif fault == "full":
                self.server.fill_place(not self.full)
                self.full = not self.full
            elif fault == "segment" and not self.away:
                self.lose_segment(pick)
            elif fault == "volume" and not self.pending and not self.lost:
                self.server.stop()
                docker("volume", "rm", "-f", self.server.fresh().image["DATA"])
                self.alive, self.lost = False, True
            elif fault == "database":
                self.restart()

    def restart(self):
        if self.alive:
            docker("kill", self.server.settings.service)
            self.alive = False
        elif not self.lost and not self.away:
            self.server.start()
            self.alive = True
            self.settle()

    def lose_segment(self, pick):
        found = self.server.archived()
        path = found[-1 - pick % len(found)]
        path.unlink()
        self.sure, self.whole = set(), time.time() + 10**9
        self.hole = int(path.name[:8], 16) if path == found[-1] else -1

    # ---- actions ----

    @contextlib.contextmanager
    def step(self):
        """A step, after which the living rows are there, if they can be asked for."""
        self.failed = True
        yield
        if self.alive:
            assert tuple(self.server.rows()) == self.living
        self.failed = False

    def attempt(self, action, kill=None):
        """Return "done", "killed" or the Problem."""
        server, run = self.server, replace(self.server.settings)
        repository, before = Repository(run), self.server.state(action).get("began", 0)
        work, lock = backup_histories.work(run, repository, action)
        locked = alone(run, lock) if lock else contextlib.nullcontext()
        try:
            with self.killer.at(kill), locked:
                work()
        except Killed:
            record = server.state(action)
            assert record.get("began", 0) in (before, 0) or record["began"] > record.get("ended", 0), "it is on record"
            return "killed"
        except Problem as problem:
            assert "\n" not in str(problem)
            return problem
        return "done"

    def do(self, action, kill=None):
        outcome = self.attempt(action, kill)
        self.hear(action, outcome)
        return outcome

    def hear(self, action, outcome):
        """An action fails only for a reason, and what it has told is so from now on."""
        if isinstance(outcome, Problem):
            assert self.trouble(action), f"{action} fails: {outcome}"
        elif outcome == "killed":
            self.hole = -1 if self.hole and action in ("base", "full") else self.hole
        elif action in ("wal", "base", "full"):
            if action != "wal" and self.hole:
                self.hole, self.whole = 0, self.server.state("base")["made"]
            assert self.hole != self.timeline, "it is told that the place has lost a segment"
            self.note_sent()

    def note_sent(self):
        until = self.server.state("wal")["until"]
        mine = [moment for moment in self.moments if moment.timeline == self.timeline and moment.at <= until]
        self.sent = self.living
        self.sure |= {moment for moment in mine if moment.at > self.whole}

    def trouble(self, action=""):
        faults = self.away or self.full or bool(self.pending) or (not self.alive and action != "prune")
        return faults or (action in ("wal", "drill") and bool(self.hole))

    def copied(self):
        made = restore.copy(self.server.settings).read()
        return made["volume"] if "rows" in made else ""

    def bring(self, moment, kill=None):
        """Restore beside: what comes back is right, or there is a reason why nothing does."""
        allowed = self.expected(moment)
        must = self.must(moment)
        outcome = self.attempt(f"@{moment.at}" if moment else "latest", kill)
        if isinstance(outcome, Problem):
            assert not must, f"{moment or 'the newest second'}: {outcome}"
        if outcome == "done":
            words = ["SELECT id FROM rows ORDER BY id", self.server.app]
            rows = tuple(map(int, restore.copy(self.server.settings).sql(*words).split()))
            assert rows in allowed, moment
            self.copies[self.copied()] = rows
        return outcome

    def must(self, moment):
        if self.away or self.pending or self.full:
            return False
        if moment is None:
            return not self.whole
        lives = self.alive and moment.timeline == self.timeline and moment.at > self.whole and not self.hole
        return moment in self.sure or lives

    def expected(self, moment):
        if moment:
            return [moment.rows]
        also = [self.copies[self.pending]] if self.pending else []
        if not self.lost:
            return [self.living, *also]
        least = len([row for row in self.sent if row in self.living])
        return [self.living[:count] for count in range(least, len(self.living) + 1)]

    def do_swap(self, kill):
        volume = self.copied()
        self.kept.add(self.server.fresh().image["DATA"])
        self.pending, before = volume, self.pending
        outcome = self.attempt("swap", kill)
        if isinstance(outcome, Problem):
            assert self.away or self.full or before or not self.alive, f"swap fails: {outcome}"
        self.server.fresh()
        if outcome == "done":
            self.alive, self.lost = True, False
        self.settle()
        if outcome == "done":
            assert self.pending == "", "the service runs on what was restored"

    def settle(self):
        """See which of both the service runs on, after a swap that may have come to that."""
        self.alive = bool(self.server.answers())
        if not self.alive:
            return
        self.lost, timeline = False, postgres.position(self.server.settings).timeline
        if timeline != self.timeline:
            assert self.pending, "the service runs on another branch than before"
            self.timeline, self.living = timeline, self.copies[self.pending]
            self.sent = tuple(row for row in self.sent if row in self.living)
            self.sure -= {moment for moment in self.sure if moment.at > time.time()}
        if not self.copied():
            self.pending = ""

    # ---- the end ----

    def teardown(self):
        try:
            if not self.failed:
                self.check_end()
        finally:
            self.server.clean()
            self.patches.undo()

    def check_end(self):
        """All is back: then what is offered comes back, and nothing is left of what was killed."""
        if self.away:
            self.server.move_place(False)
        if self.full:
            self.server.fill_place(False)
        self.away = self.full = False
        if self.lost and (self.whole or self.bring(None) != "done"):
            return
        if self.pending or self.lost:
            self.do_swap(None)
        elif not self.alive:
            self.restart()
        if self.hole:
            self.do("base")
        self.do("wal")
        self.check_left()
        offered = [moment for moment in self.moments if backup_histories.is_offered(self.server, moment.at)]
        for moment in dict.fromkeys([*offered[:1], *offered[-1:]]):
            assert self.bring(moment) == "done", moment

    def check_left(self):
        names = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={self.server.app}").stdout.split()
        copy = [f"{self.server.app}-restored"] if self.copied() else []
        assert sorted(names) == sorted([self.server.settings.service, *copy])
        volumes = docker("volume", "ls", "--quiet", "--filter", f"name={self.server.app}").stdout.split()
        assert {*volumes} <= self.kept | {self.server.fresh().image["DATA"], self.copied()}


TestHistories = pytest.mark.needs("docker")(pytest.mark.needs("restic")(Histories.TestCase))
TestHistories.settings = settings(
    max_examples=HISTORIES or 3,
    stateful_step_count=8,
    derandomize=not HISTORIES,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # to make one smaller takes an hour
    report_multiple_bugs=False,
)
