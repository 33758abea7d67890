"""The breaker's states. Each test passes its own time."""

from cbp.breaker import Breaker, State


def tried(breaker, *worked, now):
    """Make tries with these results, one after the other; return the state."""
    for each in worked:
        breaker.tell(breaker.ask(now), each, now)
    return breaker.state


def test_trips():
    """The breaker opens if more than the share of at least `least` tries in the window failed."""
    assert tried(Breaker(0.25, least=4), False, False, False, now=0) is State.CLOSED
    assert tried(Breaker(0.25, least=4), True, True, True, False, now=0) is State.CLOSED
    assert tried(Breaker(0.25, least=4), True, True, False, False, now=0) is State.OPEN
    breaker = Breaker(0.25, least=4)
    tried(breaker, True, False, True, True, now=0)
    assert tried(breaker, True, True, True, False, now=10) is State.CLOSED
    assert tried(breaker, False, now=19.9) is State.OPEN


def test_pauses():
    """Pauses last 1, 2, 4 … seconds, up to LONGEST; 1 again after a success. After a pause one may try."""
    breaker, now, pauses = Breaker(0, least=1), 0.0, []
    for worked in [False] * 8 + [True, False]:
        now = max(now, breaker.until)
        assert breaker.state is not State.OPEN or breaker.ask(now - 0.01) is None
        turn = breaker.ask(now)
        assert turn is not None and breaker.ask(now) == (turn if breaker.state is State.CLOSED else None)
        breaker.tell(turn, worked, now)
        pauses.append(breaker.pause if breaker.state is State.OPEN else None)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, None, 1]


def test_what_began_before_a_change():
    """The result of a try from before a change of state changes nothing."""
    breaker = Breaker(0, least=1)
    early = breaker.ask(0)
    assert tried(breaker, False, now=0) is State.OPEN
    breaker.tell(early, True, 0)
    assert breaker.state is State.OPEN and breaker.ask(1) is not None
    breaker.tell(early, False, 1)
    assert breaker.state is State.HALF_OPEN and breaker.pause == 1
