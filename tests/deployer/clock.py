"""An event loop with a simulated clock, for tests that wait."""

import asyncio
import contextlib
import selectors


class Jumping(selectors.DefaultSelector):
    """A selector whose clock jumps to the next timeout as soon as nothing else is ready. While the clock is `held`, as
    for a real program that works, only an event from outside ends a wait."""

    now, held = 0.0, False

    def select(self, timeout=None):
        waits = timeout is None or (self.held and timeout > 0)
        found = super().select(None if waits else 0)
        if not found and timeout:
            self.now += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.selector = Jumping()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


@contextlib.contextmanager
def held():
    """Stop the clock while the block runs, so that a real program has time; no timeout expires meanwhile."""
    selector = asyncio.get_running_loop().selector
    selector.held = True
    try:
        yield
    finally:
        selector.held = False


def run(work):
    """Run the coroutine and return its result; its waits take no real time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)
