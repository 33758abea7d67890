"""Deploy keys, their sessions, and the lock of a host, in any order: whoever has the lock loses it only by who means
him, and a key that is withdrawn does nothing any more."""

import contextlib
import itertools
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deployer.test_withdrawal import ANN, BOT, CI, fleet_with, stay
from proc import executable, put
from slipway.deploy.commands import unlock
from slipway.deploy.server import keys, withdrawal

LISTS = [{}, {"deploy_keys": [CI]}, {"deploy_keys": [CI, ANN]}, {"deploy_keys": [ANN], "watch_keys": [CI, BOT]}]
SYSTEMCTL = "#!/bin/sh\ncase $1 in show) cat {0}/invocation ;; stop) : >{0}/stopped ;; esac\n"


class Keys(RuleBasedStateMachine):
    """`sessions`: process → its key; `unit`: (invocation, key) of the agent with the lock, "" for an administrator's.
    `late`: what a session or its login was about to start when withdrawal looked."""

    def __init__(self):
        super().__init__()
        self.stack, self.numbers = contextlib.ExitStack(), itertools.count()
        self.sessions, self.unit, self.late = {}, None, []
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.file = put(self.folder / "authorized_keys", "")
        executable(self.folder / "systemctl", SYSTEMCTL.format(self.folder))
        executable(self.folder / "logger", "#!/bin/sh\n")
        stand_ins = {
            "open": lambda path, **options: self.file.open(**options),
            "replace": lambda path, text: self.file.write_text(text),
            "processes": lambda app: [*self.sessions],
            "lock_holder": lambda app: "" if self.unit is None else "key" if self.unit[1] else "administrator",
            "end_unit": self.end_unit,
            "await_takeback": lambda app: None,
            "os": mock.Mock(kill=self.kill),
            "time": mock.Mock(monotonic=lambda: 0, sleep=self.pass_time),
            "signal": mock.Mock(),
        }
        for name, stand_in in stand_ins.items():
            self.stack.enter_context(mock.patch.object(withdrawal, name, stand_in, create=True))

    def teardown(self):
        self.stack.close()

    def end_unit(self, app):
        assert self.unit[1], "an administrator's deploy goes on"
        self.unit = None

    def kill(self, pid, number):
        assert not (self.unit and self.unit[1]), "a unit whose session has gone does not know why it ends"
        del self.sessions[pid]

    def lets_in(self, key):
        return key.split()[1] in self.file.read_text()

    @rule(key=st.sampled_from([CI, ANN, BOT]))
    def log_in(self, key):
        if self.lets_in(key):
            self.sessions[next(self.numbers)] = key

    @precondition(lambda self: self.unit is None)
    @rule(data=st.data())
    def lock(self, data):
        """systemd starts a unit of a name once."""
        self.start_unit(data.draw(st.sampled_from(["", *self.sessions.values()])))

    def start_unit(self, key):
        self.unit = self.unit or (f"{next(self.numbers)}", key)

    @precondition(lambda self: self.unit)
    @rule()
    def end(self):
        self.unit = None

    @rule(
        lists=st.sampled_from(LISTS),
        late=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["log_in_late", "start_unit"])), max_size=2),
    )
    def provision(self, lists, late):
        """Withdrawal comes first; a session may be just then about to start another process, or its unit. `late`: how
        many looks find nothing, then what comes. A unit that does not start, as an administrator's runs, is no sign
        that another one will."""
        ours, before = fleet_with(**lists), self.unit
        if before and not before[1]:
            late = [(looks, "log_in_late") for looks, _ in late]
        gone = [line for line in self.file.read_text().splitlines() if withdrawal.identity(line) not in stay(ours)]
        key = next(iter(self.sessions.values()), "")
        for looks, what in late if gone and key else ():
            self.late += [*[lambda: None] * looks, partial(getattr(self, what), key)]
        withdrawal.main("shop", stay(ours))
        assert not self.late
        if gone:
            assert not self.sessions and (self.unit is None or not self.unit[1])
        assert self.unit == before or (gone and not (before and not before[1])), "an administrator's deploy goes on"
        self.file.write_text(keys.authorized_keys(ours).content)

    def pass_time(self, seconds):
        if self.late:
            self.late.pop(0)()

    def log_in_late(self, key):
        self.sessions[next(self.numbers)] = key

    @rule(seen=st.integers(0, 30))
    def unlock(self, seen):
        """Whoever breaks a lock breaks the one that he has seen, not a later holder's."""
        put(self.folder / "invocation", self.unit[0] if self.unit else "")
        words = ["sh", "-c", unlock.BREAK, "sh", "x-shop", str(seen), "unlock by bob", "broken"]
        env = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        done = subprocess.run(words, env=env, capture_output=True, check=False)
        stopped, is_seen = self.folder / "stopped", bool(self.unit) and self.unit[0] == str(seen)
        assert (done.returncode == 0, stopped.exists()) == (is_seen, is_seen), done
        stopped.unlink(missing_ok=True)
        self.unit = None if is_seen else self.unit

    @invariant()
    def a_withdrawn_key_has_neither_session_nor_lock(self):
        held = [*self.sessions.values(), *([self.unit[1]] if self.unit and self.unit[1] else [])]
        assert all(map(self.lets_in, held))


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
