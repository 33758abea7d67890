"""The ends of programs that run here, by SIGCHLD: none needs a descriptor, as it would by asyncio, or a thread."""

import asyncio
import signal
import subprocess
from collections.abc import Callable

Running = dict[subprocess.Popen[bytes], Callable[[], None]]  # program → what is called at its end
of_loop: dict[asyncio.AbstractEventLoop, Running] = {}


def heed() -> None:
    """Hear of ends from now on, in the running loop. To be called before a program starts."""
    loop = asyncio.get_running_loop()
    if loop not in of_loop:
        for other in [other for other in of_loop if other.is_closed()]:
            del of_loop[other]
        of_loop[loop] = {}
        loop.add_signal_handler(signal.SIGCHLD, look, of_loop[loop])


def watch(program: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
    """Call `ended` once the program has ended."""
    of_loop[asyncio.get_running_loop()][program] = ended


def look(running: Running) -> None:
    """See which have ended: a signal may stand for several."""
    for program in [program for program in running if program.poll() is not None]:
        running.pop(program)()
