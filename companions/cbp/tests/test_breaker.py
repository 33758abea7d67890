"""The breaker's states, with a clock of their own."""

from cbp.breaker import Breaker, State
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

THRESHOLD, LEAST, WINDOW, LONGEST = .25, 4, 10, 8


class Tries(RuleBasedStateMachine):
    """Whatever is asked and told, in any order: as a naive model says."""

    def __init__(self):
        super().__init__()
        self.breaker, self.now = Breaker(THRESHOLD, LEAST, WINDOW, LONGEST), 0.0
        self.under_way, self.told, self.opened, self.pause = [], [], None, 0

    @rule(passed=st.floats(0, 12))
    def time_passes(self, passed):
        self.now += passed

    @rule()
    def ask(self):
        """All may while it is closed, nobody during a pause, one after it."""
        was, waited = self.breaker.state, self.breaker.state is State.OPEN and self.now >= self.opened + self.pause
        turn = self.breaker.ask(self.now)
        assert (turn is not None) == (was is State.CLOSED or waited)
        if turn is not None:
            self.under_way.append((turn, self.breaker.state))
        if waited:
            assert self.breaker.state is State.HALF_OPEN

    @precondition(lambda self: self.under_way)
    @rule(worked=st.booleans(), data=st.data())
    def tell(self, worked, data):
        turn, allowed_in = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        was, fresh = self.breaker.state, turn == self.breaker.turn
        self.breaker.tell(turn, worked, self.now)
        if not fresh:
            assert self.breaker.state is was, "what began before the last change counts"
        elif allowed_in is State.HALF_OPEN:
            assert self.breaker.state is (State.CLOSED if worked else State.OPEN)
            self.opens(self.pause * 2) if not worked else self.told.clear()
        else:
            self.told.append((self.now, worked))
            lately = [ok for moment, ok in self.told if moment > self.now - WINDOW]
            too_many = len(lately) >= LEAST and lately.count(False) > THRESHOLD * len(lately)
            assert self.breaker.state is (State.OPEN if too_many else State.CLOSED)
            self.opens(1) if too_many else None

    def opens(self, pause):
        self.opened, self.pause = self.now, min(pause, LONGEST)
        self.told.clear()

    @invariant()
    def at_most_one_tries(self):
        if self.breaker.state is State.HALF_OPEN:
            assert [turn for turn, _ in self.under_way].count(self.breaker.turn) == 1


TestTries = Tries.TestCase
TestTries.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def test_pauses():
    """1, 2, 4 ... seconds, up to the limit; 1 again after it was closed."""
    breaker, now, pauses = Breaker(0, least=1, longest=5), 0.0, []
    for worked in (False, False, False, False, True, False):
        now = max(now, breaker.until)
        turn = breaker.ask(now)
        assert turn is not None and breaker.ask(now) == (turn if breaker.state is State.CLOSED else None)
        breaker.tell(turn, worked, now)
        pauses.append(breaker.pause if breaker.state is State.OPEN else None)
    assert pauses == [1, 2, 4, 5, None, 1]
