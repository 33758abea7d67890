"""gunicorn's worker with threads, which answers on its way out who has come already."""

import socket
from types import FrameType

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """gunicorn's own takes nobody from its sockets once it is told to end, but keeps them open until it has: who
    connects meanwhile waits in vain. This one answers those who wait, and closes, so that later ones are refused."""

    number: str  # see gunicorn.pre_fork
    told_to_end = False  # not so when it ends of max_requests: then others take who waits

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.told_to_end = True
        super().handle_exit(sig, frame)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        super().set_accept_enabled(enabled)
        if self.told_to_end and not enabled and self.sockets:
            for listener in self.sockets:
                self.take_all(listener)
                listener.close()
            self.sockets = []

    def take_all(self, listener: socket.socket) -> None:
        for _ in range(self.cfg.backlog):
            before = self.nr_conns
            self.accept(listener)
            if self.nr_conns == before:  # nobody waits
                return
