"""`cbp -l HOST:PORT -r HOST:PORT` is a TCP proxy from -l to -r. If many connections to -r fail, it refuses clients."""

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import signal
import sys

from .breaker import Breaker
from .proxy import Proxy

log = logging.getLogger("cbp")


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} should be HOST:PORT, such as localhost:6379")
    return host.removeprefix("[").removesuffix("]"), int(port)


def share(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a share: .05 for 5 %")
    return float(text)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cbp",
        description="A TCP proxy with a circuit breaker.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("-l", dest="listen", type=address, required=True, metavar="HOST:PORT", help="address for clients")
    add("-r", dest="remote", type=address, required=True, metavar="HOST:PORT", help="the service")
    add("-t", dest="threshold", type=share, default=0.05, metavar="SHARE", help="refuse clients if more tries fail")
    add("--least", type=int, default=5, metavar="TRIES", help="never refuse after fewer tries in 10 seconds")
    add("--connect", type=float, default=1, metavar="SECONDS", help="timeout of a try")
    add("--drain", type=float, default=30, metavar="SECONDS", help="timeout of connected clients after TERM")
    add("--vars", type=address, metavar="HOST:PORT", help="address of /debug/vars")
    return parser.parse_args()


async def run(given: argparse.Namespace) -> None:
    """Serve until a signal. Then wait until clients have left, `given.drain` seconds pass or another signal comes."""
    loop, ending = asyncio.get_running_loop(), asyncio.Semaphore(0)
    for sent in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sent, ending.release)
    proxy = Proxy(given.remote, Breaker(given.threshold, given.least), given.connect)
    server = await asyncio.start_server(proxy.accept, *given.listen, backlog=4096)
    if given.vars:
        await show(proxy, given.vars)
    log.info("%s:%s, to %s:%s", *given.listen, *given.remote)
    await ending.acquire()
    server.close()
    log.info("draining %s", len(proxy.clients))
    second = loop.create_task(ending.acquire())
    drained = loop.create_task(proxy.empty())
    await asyncio.wait({drained, second}, timeout=given.drain, return_when=asyncio.FIRST_COMPLETED)


async def show(proxy: Proxy, where: tuple[str, int]) -> None:
    """Serve the proxy's metrics as JSON at the address `where`, over HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            body = json.dumps({"cbp": proxy.metrics()}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
        writer.close()

    await asyncio.start_server(answer, *where)


def main() -> int:
    given = options()
    with contextlib.suppress(ValueError, OSError):  # raises the limit of open files: two per client; macOS may refuse
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        asyncio.run(run(given))
    except OSError as error:
        print(f"cbp: cannot listen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
