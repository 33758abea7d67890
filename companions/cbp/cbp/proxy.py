"""Takes clients, asks the breaker, joins them with the service."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from .breaker import Breaker, State
from .relay import Side, reset

log = logging.getLogger("cbp")


@dataclass
class Counters:
    """Of clients, since the start; `connected` is of now."""

    accepted: int = 0
    refused: int = 0  # while the breaker was open
    failed: int = 0  # the service could not be reached
    trips: int = 0
    connected: int = 0


@dataclass(frozen=True)
class Limits:
    """Seconds. No `idle` limit where that is 0."""

    connect: float
    idle: float


class Client(Side):
    """Whoever comes; `taken` is told of it, `gone` when it has left."""

    def __init__(self, loop: asyncio.AbstractEventLoop, taken: "Callable[[Client], None]",
                 gone: "Callable[[Client], None]") -> None:
        super().__init__(loop)
        self.taken, self.gone = taken, gone
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.taken(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone(self)


class Proxy:
    """Give `client` to the loop's create_server."""

    def __init__(self, remote: tuple[str, int], breaker: Breaker, limits: Limits) -> None:
        self.remote, self.breaker, self.limits = remote, breaker, limits
        self.counters, self.loop = Counters(), asyncio.get_running_loop()
        self.clients: set[Client] = set()
        self.connecting: set[asyncio.Task[None]] = set()
        self.left = asyncio.Event()

    def client(self) -> Client:
        return Client(self.loop, self.take, self.forget)

    def take(self, client: Client) -> None:
        """Reset it at once, or begin to connect it."""
        self.clients.add(client)
        self.counters.accepted += 1
        turn = self.breaker.ask(self.loop.time())
        if turn is None:
            self.counters.refused += 1
            reset(client.transport)
            return
        if self.breaker.state is State.HALF_OPEN:
            log.warning("half-open: one may try")
        task = self.loop.create_task(self.connect(client, turn))
        self.connecting.add(task)
        task.add_done_callback(self.connecting.discard)

    def forget(self, client: Client) -> None:
        self.clients.discard(client)
        if client.timer:
            client.timer.cancel()
        self.counters.connected -= client.joined
        self.left.set()

    async def connect(self, client: Client, turn: int) -> None:
        """Also for a client that leaves meanwhile: the breaker waits for what comes of it."""
        server = Side(self.loop)
        try:
            async with asyncio.timeout(self.limits.connect):
                await self.loop.create_connection(lambda: server, *self.remote)
        except Exception as error:  # whatever it is, the breaker waits to be told
            self.tell(turn, str(error) or f"no answer in {self.limits.connect} s")
            self.counters.failed += 1
            if not client.lost:
                reset(client.transport)
            return
        self.tell(turn, "")
        self.counters.connected += not client.lost
        client.join(server)
        if self.limits.idle:
            self.end_if_idle(client)

    def tell(self, turn: int, failure: str) -> None:
        """Tell the breaker, and the log where its state is another now."""
        before = self.breaker.turn
        self.breaker.tell(turn, not failure, self.loop.time())
        if self.breaker.turn == before:
            return
        if self.breaker.state is State.OPEN:
            self.counters.trips += 1
            log.warning("open for %g s: %s", self.breaker.pause, failure)
        else:
            log.warning("closed: it answers again")

    def end_if_idle(self, client: Client) -> None:
        """Look again when the limit may be reached; reset both sides once neither has spoken for so long."""
        if client.lost:
            return
        due = max(client.heard, client.other.heard) + self.limits.idle
        if due <= self.loop.time():
            reset(client.transport)
            reset(client.other.transport)
        else:
            client.timer = self.loop.call_at(due, self.end_if_idle, client)

    async def empty(self) -> None:
        """Return when no client is left."""
        while self.clients:
            self.left.clear()
            await self.left.wait()

    def figures(self) -> dict[str, object]:
        """What /debug/vars shows."""
        return {"state": self.breaker.state.value, "pause": self.breaker.pause, **asdict(self.counters)}
