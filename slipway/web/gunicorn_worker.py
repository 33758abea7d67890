"""gunicorn's worker with threads, which loses no connection when it stops."""

import socket
import time
from types import FrameType

from gunicorn.workers.gthread import TConn, ThreadWorker

from ..logs import request_id

LINGER = 2  # seconds that a connection without a request stays open after TERM: one may be on its way


class Worker(ThreadWorker):
    """A gthread worker. When gunicorn stops a worker, the worker accepts waiting connections, then closes its sockets.
    gthread itself closes the sockets later: clients may wait in vain. It would also wait for as long as connections
    are kept that send nothing, such as a browser's spare one."""

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

    def handle(self, conn: TConn) -> bool:
        request_id.start()  # of a request that gunicorn refuses; else the log would name this thread's last visitor
        return super().handle(conn)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        if not self.alive:
            pending = getattr(self, "pending_conns", ())  # since gunicorn 25.2
            for connection in (*self.keepalived_conns, *pending):
                connection.timeout = min(connection.timeout, time.monotonic() + LINGER)
            if pending:
                self.murder_pending()
        super().wait_for_and_dispatch_events(1.0 if timeout is None else min(timeout, 1.0))
