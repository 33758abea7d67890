"""`samlare -config=FILE` reads metrics from HTTP endpoints and sends them to Graphite, until TERM."""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from aiohttp import web

from .carbon import Carbon
from .config import Config, Faults, load
from .look import session, watch

log = logging.getLogger("samlare")


async def run(config: Config) -> None:
    """Run until TERM or Ctrl-C, then try to send the queued lines. Raise Faults if config.listen is not usable."""
    ended, carbon = asyncio.Event(), Carbon(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    if config.listen:
        await serve(config.listen, carbon)
    log.info("sending metrics of %s endpoints to %s:%s", len(config.endpoint), config.carbon_host, config.carbon_port)
    async with session(config.timeout / 1000) as client, asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(watch(endpoint, config, client, carbon)) for endpoint in config.endpoint]
        sending = tasks.create_task(carbon.run())
        await ended.wait()
        for task in looks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(carbon.empty.wait(), config.timeout / 1000)
        sending.cancel()


async def serve(address: str, carbon: Carbon) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"samlare": {**asdict(carbon.counters), "waiting": len(carbon.waiting)}})

    app = web.Application()
    app.router.add_get("/debug/vars", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except (OSError, OverflowError, ValueError) as error:  # ValueError: no host's name
        raise Faults(f"Listen: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="samlare", description="Sends metrics of JSON endpoints to Graphite.", allow_abbrev=False
    )
    parser.add_argument("-config", "--config", type=Path, required=True, metavar="FILE", help="see README.md")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        asyncio.run(run(load(arguments.config)))
    except Faults as faults:
        print(*(f"samlare: {line}" for line in str(faults).splitlines()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
