"""cbp -l HOST:PORT -r HOST:PORT: passes connections on, and refuses at once while the service does not answer."""

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import signal
import sys

import uvloop

from .breaker import Breaker
from .proxy import Limits, Proxy

log = logging.getLogger("cbp")


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[::1]:PORT`. Raises ArgumentTypeError for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} should be an address as localhost:6379")
    return host.removeprefix("[").removesuffix("]"), int(port)


def share(text: str) -> float:
    """0 to 1, 1 left out. Raises ArgumentTypeError for anything else."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} should be a share: .05 for 5 %")


def seconds(text: str) -> float:
    """0 to 1e9. Raises ArgumentTypeError for anything else."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < 1e9:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} should be seconds")


def some_seconds(text: str) -> float:
    """The same, 0 left out."""
    if seconds(text):
        return seconds(text)
    raise argparse.ArgumentTypeError(f"{text!r} should be more than 0 seconds")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cbp", description="A TCP proxy that stops asking what does not answer.",
                                     allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("-l", dest="listen", type=address, required=True, metavar="HOST:PORT", help="where clients come")
    add("-r", dest="remote", type=address, required=True, metavar="HOST:PORT", help="the service")
    add("-t", dest="threshold", type=share, default=.05, metavar="SHARE", help="of failed tries that is too much")
    add("--least", type=int, default=5, metavar="TRIES", help="with fewer in the window it does not trip")
    add("--window", type=some_seconds, default=10, metavar="SECONDS", help="over which tries are counted")
    add("--longest", type=some_seconds, default=60, metavar="SECONDS", help="of a pause: 1, 2, 4 ... at most so long")
    add("--connect", type=some_seconds, default=1, metavar="SECONDS", help="after which a try has failed")
    add("--idle", type=seconds, default=0, metavar="SECONDS", help="end what says nothing for so long; 0: never")
    add("--drain", type=seconds, default=30, metavar="SECONDS", help="that TERM leaves to those connected")
    add("--vars", type=address, metavar="HOST:PORT", help="answer /debug/vars there")
    return parser.parse_args()


async def run(given: argparse.Namespace) -> None:
    """Until TERM or Ctrl-C, and its drain; a second one ends the drain. Raises OSError where it cannot listen."""
    loop, ending = asyncio.get_running_loop(), asyncio.Semaphore(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.release)
    breaker = Breaker(given.threshold, given.least, given.window, given.longest)
    proxy = Proxy(given.remote, breaker, Limits(given.connect, given.idle))
    server = await loop.create_server(proxy.client, *given.listen, backlog=4096)
    if given.vars:
        await show(proxy, given.vars)
    log.info("%s:%s, to %s:%s", *given.listen, *given.remote)
    await ending.acquire()
    server.close()
    log.info("draining %s", len(proxy.clients))
    drained, second = asyncio.ensure_future(proxy.empty()), asyncio.ensure_future(ending.acquire())
    await asyncio.wait({drained, second}, timeout=given.drain, return_when=asyncio.FIRST_COMPLETED)


async def show(proxy: Proxy, where: tuple[str, int]) -> None:
    """Answer any request there with the proxy's figures, as JSON."""
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            body = json.dumps({"cbp": proxy.figures()}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    await asyncio.start_server(answer, *where)


def main() -> int:
    given = options()
    with contextlib.suppress(ValueError, OSError):  # two a client; macOS may refuse
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        uvloop.run(run(given))
    except OSError as error:
        print(f"cbp: cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
