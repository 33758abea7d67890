"""view: show the servers on a page, on this machine."""

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
from pathlib import Path
from typing import Any

from ..config import Fleet
from ..errors import Refused
from ..screen.display import put
from ..view import state
from ..view.collect import NOT_ASKED, Collector
from ..view.report import report, without_errors
from ..view.server import Server

REDIRECT = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={}"><title>Slipway</title>\n'
)
PATIENCE = 90  # seconds to wait for what goes into a file
ANSWER = 10  # seconds to compute the page's figures


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
    if fleet.is_swarm:
        raise Refused("slipway view does not know Docker Swarm yet: see slipway status")
    collector = Collector(fleet, [*fleet.hosts])
    if args.save:
        await save(fleet, collector, args.save, args.with_errors)
        return 0
    server = served(args.port, fleet, collector)
    with tempfile.TemporaryDirectory(prefix="slipway-view-") as folder:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            put(f"{server.address_with_token}\nCtrl-C ends it.", sys.stdout)
            if not args.no_open:
                webbrowser.open(f"file://{redirect(folder, server.address_with_token)}")
            await collector.watch()
        except asyncio.CancelledError:
            return 0
        finally:
            server.shutdown()
            server.server_close()
    return 0


async def save(fleet: Fleet, collector: Collector, path: str, with_errors: bool) -> None:
    """Wait until the hosts have told all of a day, at most PATIENCE seconds; then write the page to a file."""
    watching = asyncio.create_task(collector.watch())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not all(each.complete or each.problem not in ("", NOT_ASKED) for each in collector.seen.values()):
                await asyncio.sleep(0.5)
    seen = state.page(fleet, collector.seen, time.time())
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    try:
        Path(path).write_text(report(seen if with_errors else without_errors(seen)), "utf-8")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    put(path, sys.stdout)


def served(number: int, fleet: Fleet, collector: Collector) -> Server:
    """Return a server of the page at this port, 0: a free one. Raise Refused if the port is taken."""
    loop = asyncio.get_running_loop()

    async def now() -> state.State:  # in the collector's thread, which changes what it has seen
        return state.page(fleet, collector.seen, time.time())

    def asked() -> dict[str, Any]:
        return asyncio.run_coroutine_threadsafe(now(), loop).result(ANSWER)

    try:
        return Server(number, asked)
    except OSError as error:
        raise Refused(f"port {number}: {error.strerror}: choose another one by --port") from None


def redirect(folder: str, address: str) -> str:
    """Write a page that leads to the address, which no list of processes shall have. Return its path."""
    path = f"{folder}/view.html"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(REDIRECT.format(html.escape(address)))
    return path
