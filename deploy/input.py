"""What a program at the other end of a pipe is told. It may read nothing for ever, which must keep nobody here."""

import contextlib
import threading


class Input:
    """The stdin of a process, for several threads."""

    def __init__(self, process):
        self.process, self.writing = process, threading.Lock()

    def write(self, data):
        """Waits while the process does not read. Raises OSError or ValueError when it has ended, or this is closed."""
        with self.writing:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def close(self):
        """Tell the process that there is no more. One that does not read what is being written is killed, as closing
        the pipe would wait for that."""
        free = self.writing.acquire(blocking=False)
        if not free:
            self.process.kill()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if free:
            self.writing.release()
