"""view: show the servers on a page, on this machine. A deploy may show itself there, too."""

import argparse
import asyncio
import contextlib
import html
import os
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ..config import Fleet
from ..errors import Refused
from ..screen.display import put
from ..view import state
from ..view.collect import Collector
from ..view.own_deploy import OwnDeploy
from ..view.report import report, without_errors
from ..view.server import Server
from ..view.swarm import SwarmCollector
from ..view.watched import NOT_ASKED
from . import logs

REDIRECT = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>Slipway</title>\n'
)
PATIENCE = 90  # seconds to wait for what goes into a file
ANSWER = 8  # seconds to compute the page's figures; the page waits a little longer
LINES = 60  # seconds to find a request's lines
LAST = 5  # seconds for the hosts and the page to hear how a deploy ended
T = TypeVar("T")


def port(text: str) -> int:
    """Return the number of a port. Raise ArgumentTypeError if it is none."""
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=port, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--no-open", action="store_true", help="only print the address")
    parser.add_argument("--save", default="", metavar="FILE", help="write the page to a file, and end")
    parser.add_argument("--with-errors", action="store_true", help="with --save: messages and tracebacks, too")


async def handle(fleet: Fleet, args: argparse.Namespace) -> int:
    """Serve the page until interrupted; return 0."""
    collector = make_collector(fleet)
    if args.save:
        await save(fleet, collector, args.save, args.with_errors)
        return 0
    with (
        contextlib.suppress(asyncio.CancelledError),
        open_page(make_server(args.port, fleet, collector), sys.stdout, not args.no_open),
    ):
        put("Ctrl-C ends it.", sys.stdout)
        await collector.watch()
    return 0


def make_collector(fleet: Fleet) -> Collector:
    if fleet.is_swarm:
        return SwarmCollector(fleet)
    return Collector(fleet, [*fleet.hosts])


@contextlib.contextmanager
def open_page(server: Server, out: TextIO, opens: bool = True) -> Iterator[None]:
    """Serve the page for the block. Print its address; if `opens`, open it in a browser."""
    with tempfile.TemporaryDirectory(prefix="slipway-view-") as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            put(server.address_with_token, out)
            if opens:  # in a thread, as a browser in the terminal does not return
                page = f"file://{redirect(folder, server.address_with_token)}"
                threading.Thread(target=webbrowser.open, args=[page], daemon=True).start()
            yield
        finally:
            server.shutdown()
            server.server_close()


@contextlib.asynccontextmanager
async def show_deploy(fleet: Fleet, own: OwnDeploy) -> AsyncIterator[None]:
    """Show a deploy on the page while it runs in the block, and then how it ended."""
    collector = make_collector(fleet)
    with open_page(make_server(0, fleet, collector, own), sys.stderr):
        watching = asyncio.create_task(collector.watch())
        try:
            yield
        finally:
            await await_last_answers(collector, own)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def await_last_answers(collector: Collector, own: OwnDeploy) -> None:
    """Wait until the hosts have told what they are like now and the page has got that, each for at most LAST seconds;
    not if nobody looks at the page."""
    ended = collector.now()

    def know() -> bool:
        facts = [each.answers.get("facts") for each in collector.watched.values() if not each.problem]
        return all(answer is None or answer.at > ended for answer in facts)

    if own.is_watched():
        await wait_until(know)
        own.over = True
        await wait_until(lambda: own.end_shown)


async def wait_until(condition: Callable[[], bool]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST):
            while not condition():
                await asyncio.sleep(0.1)


async def save(fleet: Fleet, collector: Collector, path: str, with_errors: bool) -> None:
    """Wait until the hosts have told all of a day, at most PATIENCE seconds; then write the page to a file."""
    watching = asyncio.create_task(collector.watch())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not all(each.complete or each.problem not in ("", NOT_ASKED) for each in collector.watched.values()):
                await asyncio.sleep(0.5)
    page = state.page(fleet, collector.watched, time.time())
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    try:
        Path(path).write_text(report(page if with_errors else without_errors(page)), "utf-8")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    put(path, sys.stdout)


def make_server(number: int, fleet: Fleet, collector: Collector, own: OwnDeploy | None = None) -> Server:
    """Return a server of the page at this port, 0: a free one. Raise Refused if the port is taken."""
    loop = asyncio.get_running_loop()

    def result(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run it in the collector's thread, which changes what is seen; return its result."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, seconds), loop)
        return future.result()

    async def now() -> state.State:
        return state.page(fleet, collector.watched, time.time(), own)

    def lines(request: str, at: float) -> list[str]:
        return result(logs.lines_of_request(fleet, request, at), LINES)

    try:
        return Server(number, lambda: result(now(), ANSWER), lines)
    except OSError as error:
        raise Refused(f"port {number}: {error.strerror}: choose another one by --port") from None


def redirect(folder: str, address: str) -> str:
    """Write a page that leads to the address, which no list of processes shall have. Return its path."""
    path = f"{folder}/view.html"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(REDIRECT.format(html.escape(address)))
    return path
