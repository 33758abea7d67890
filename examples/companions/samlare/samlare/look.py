"""Reads each endpoint independently, and turns the answers into lines for carbon, Graphite's server."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

import aiohttp

from .carbon import Carbon
from .config import Config, Endpoint

LARGEST = 1_000_000  # bytes per answer
LONGEST = 255  # characters of a name; Graphite uses each part of a name as a file name
UNFIT = re.compile(r"[^A-Za-z0-9_.\-%:#]|^\.|\.(?=\.|$)")  # characters that Graphite refuses, and misplaced dots
log = logging.getLogger("samlare")


def session(timeout: float) -> aiohttp.ClientSession:
    """Return an HTTP client without a limit of connections, so that no endpoint waits for another."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout),
    )


async def watch(endpoint: Endpoint, config: Config, client: aiohttp.ClientSession, carbon: Carbon) -> None:
    """Read the endpoint at each interval, skip missed ones; queue its metrics. Log failure and recovery."""
    loop, failing = asyncio.get_running_loop(), ""
    due = loop.time()
    while True:
        second = int(time.time())
        metrics, failed = await look(client, endpoint)
        carbon.put([line(name, number, second) for name, number in metrics])
        carbon.counters.looks += 1
        carbon.counters.failures += bool(failed)
        if bool(failed) != bool(failing):
            log.warning("%s: %s", endpoint.prefix, failed or "answers again")
        failing = failed
        due = max(due + config.check_interval / 1000, loop.time())
        await asyncio.sleep(due - loop.time())


async def look(client: aiohttp.ClientSession, endpoint: Endpoint) -> tuple[list[tuple[str, float]], str]:
    """Return metrics, and an error or "". If endpoint.failure_metric is set, this metric is 1 on error, else 0."""
    metrics, failed = [], ""
    try:
        metrics = list(named(numbers(await shown(client, endpoint)), endpoint))
    except TimeoutError:
        failed = "no answer in time"
    except Exception as error:  # one endpoint's error must not stop the others
        failed = str(error) or type(error).__name__
    if endpoint.failure_metric:
        metrics.append((endpoint.failure_metric, int(bool(failed))))
    return metrics, failed


async def shown(client: aiohttp.ClientSession, endpoint: Endpoint) -> object:
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    async with client.get(str(endpoint.url), headers=headers, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"answers {answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > LARGEST:
                raise ValueError(f"sends more than {LARGEST} bytes")
        return json.loads(body)


def numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield (name, number) for numbers and booleans in JSON. The name joins keys and list indexes by dots: a.0.b."""
    if len(name) > LONGEST:
        return
    if isinstance(value, int | float):
        yield name, value + 0  # turns True into 1
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{name}.{key}" if name else str(key))


def named(metrics: Iterable[tuple[str, float]], endpoint: Endpoint) -> Iterator[tuple[str, float]]:
    """Yield (metric's name, number). Skip NaN, huge numbers, and names that match a pattern in `endpoint.ignore`. Give
    a metric the name that `endpoint.rename` has for it."""
    for name, number in metrics:
        if abs(number) < 1e300 and not any(fnmatchcase(name, pattern) for pattern in endpoint.ignore):
            yield f"{endpoint.prefix}.{endpoint.rename.get(name, name)}", number


def line(name: str, number: float, second: int) -> bytes:
    return f"{UNFIT.sub('_', name)} {number!r} {second}\n".encode()
