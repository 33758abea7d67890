import socket
from types import FrameType

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """A gthread worker. When gunicorn stops a worker, the worker accepts waiting connections, then closes its sockets.
    gthread itself closes the sockets later: clients may wait in vain."""

    number: str  # set by gunicorn.pre_fork
    told_to_end = False  # stays False if max_requests ends this worker: other workers then accept the connections

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
            if self.nr_conns == before:  # no connection waits
                return
