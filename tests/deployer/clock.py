"""Time for tests of waiting."""

import asyncio
import selectors


class Jumping(selectors.DefaultSelector):
    """Time passes only while all wait, and then at once. What comes from outside is let come first."""

    now = 0.0

    def select(self, timeout=None):
        found = super().select(0 if timeout is not None else None)
        if not found and timeout:
            self.now += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """An event loop with such time."""

    def __init__(self):
        self.selector = Jumping()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


def run(work):
    """What the coroutine returns; its waiting takes no time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)
