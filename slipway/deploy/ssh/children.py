"""The ends of programs that run here, by SIGCHLD: none needs a descriptor, as it would by asyncio, or a thread."""

import asyncio
import signal
import subprocess
import weakref
from collections.abc import Callable
from typing import Any

Running = dict[subprocess.Popen[bytes], Callable[[], None]]  # program → what is called at its end
of_loop: dict[asyncio.AbstractEventLoop, Running] = {}
wakers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()


def handle(number: int, function: Callable[..., None], *words: Any) -> None:
    """Have the running loop call the function at each signal of this number.

    Signals wake the loop through a socket that has room for some 280. Where more programs end at once, Python would
    print a traceback for each of the others; but what is in the socket already is enough for `look`."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, function, *words)
    if loop not in wakers:
        wakers[loop] = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakers[loop], warn_on_full_buffer=False)


def heed() -> None:
    """Hear of ends from now on, in the running loop. To be called before a program starts."""
    loop = asyncio.get_running_loop()
    if loop not in of_loop:
        for other in [other for other in of_loop if other.is_closed()]:
            del of_loop[other]
        of_loop[loop] = {}
        handle(signal.SIGCHLD, look, of_loop[loop])


def watch(program: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
    """Call `ended` once the program has ended."""
    of_loop[asyncio.get_running_loop()][program] = ended


def look(running: Running) -> None:
    """See which have ended: a signal may stand for several."""
    for program in [program for program in running if program.poll() is not None]:
        running.pop(program)()
