"""What samlare tells of itself at /debug/vars."""

import os
from dataclasses import asdict, dataclass

from aiohttp import web

from .config import Faults


@dataclass
class Counters:
    """Since its start; `waiting` is of now."""

    looks: int = 0
    failures: int = 0  # looks that brought nothing
    sent: int = 0  # lines, those sent again included
    dropped: int = 0  # lines for which there was no room
    connections: int = 0  # to carbon
    waiting: int = 0  # lines
    reloads: int = 0


async def serve(address: str, counters: Counters) -> None:
    """Answer /debug/vars there from now on. Raises Faults if the address cannot be had."""
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"samlare": asdict(counters)})

    app = web.Application()
    app.router.add_get("/debug/vars", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except OSError as error:
        raise Faults(f"Listen {address}: {os.strerror(error.errno) if error.errno else error}") from error
