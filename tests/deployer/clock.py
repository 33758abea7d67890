"""Time for tests of waiting."""

import asyncio
import contextlib
import selectors


class Jumping(selectors.DefaultSelector):
    """Time passes only while all wait, and then at once. What comes from outside is let come first; while it is `held`,
    as for a program that works, that alone ends a wait."""

    now, held = 0.0, False

    def select(self, timeout=None):
        waits = timeout is None or self.held and timeout > 0
        found = super().select(None if waits else 0)
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


@contextlib.contextmanager
def held():
    """While the block runs no time passes: a real program has all it takes. What waits meanwhile waits on."""
    selector = asyncio.get_running_loop().selector
    selector.held = True
    try:
        yield
    finally:
        selector.held = False


def run(work):
    """What the coroutine returns; its waiting takes no time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)
