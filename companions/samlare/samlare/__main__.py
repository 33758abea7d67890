"""samlare -config=FILE: looks at endpoints and sends what they say to carbon, until TERM."""

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys
from pathlib import Path

from .carbon import Carbon
from .config import Config, Faults, load
from .counters import Counters, serve
from .poll import watch

log = logging.getLogger("samlare")


async def run(path: Path) -> None:
    """Until TERM or Ctrl-C; HUP reads the file again. Raises Faults where it cannot begin."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    config, counters = load(path), Counters()
    carbon = Carbon(config, counters)
    if config.listen:
        await serve(config.listen, counters)
    log.info("%s endpoints, to carbon at %s:%s", len(config.endpoint), config.carbon_host, config.carbon_port)
    following: Config | None = config
    while following:
        carbon.config = config = following
        following = await watching(path, config, carbon, signals)


async def watching(path: Path, config: Config, carbon: Carbon, signals: "asyncio.Queue[int]") -> Config | None:
    """Look and send until HUP brings another file, which is returned, or a signal ends it. What waits may still go."""
    share = config.check_interval / 1000 / len(config.endpoint)  # the looks are spread over the interval
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(watch(endpoint, number * share, config, carbon))
                 for number, endpoint in enumerate(config.endpoint)]
        sending = tasks.create_task(carbon.run())
        following = await another(path, signals, carbon.counters)
        for task in looks:
            task.cancel()
        if not following:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(carbon.empty.wait(), config.timeout / 1000)
        sending.cancel()
    return following


async def another(path: Path, signals: "asyncio.Queue[int]", counters: Counters) -> Config | None:
    """The file as it is at the next HUP with which it is not faulty; None at a signal to end."""
    while await signals.get() == signal.SIGHUP:
        try:
            config = load(path)
            counters.reloads += 1
            log.info("%s: read again, %s endpoints", path, len(config.endpoint))
            return config
        except Faults as faults:
            log.error("%s\nnothing is changed", faults)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="samlare", description="Sends figures that are shown as JSON to Graphite.",
                                     allow_abbrev=False)
    parser.add_argument("-config", "--config", type=Path, required=True, metavar="FILE", help="see README.md")
    arguments = parser.parse_args()
    with contextlib.suppress(ValueError, OSError):  # one an endpoint; macOS may refuse
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        asyncio.run(run(arguments.config))
    except Faults as faults:
        print(*(f"samlare: {line}" for line in str(faults).splitlines()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
