"""Asks endpoints, each at its own pace, and makes lines of carbon's plaintext protocol of what they show."""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice

import aiohttp

from .carbon import Carbon
from .config import Config, Endpoint

LARGEST = 1_000_000  # bytes of an answer
MOST = 10_000  # numbers of it
LONGEST = 255  # characters of a name: a part of it is a file's
UNFIT = re.compile(r"[^A-Za-z0-9_.\-%:#]|^\.|\.(?=\.|$)")  # in a metric's name; dots only between its parts
log = logging.getLogger("samlare")


async def ticks(interval: float, offset: float) -> AsyncIterator[None]:
    """Every `interval` seconds, first after `offset`. Ticks that were missed are left out."""
    loop = asyncio.get_running_loop()
    due = loop.time() + offset
    while True:
        await asyncio.sleep(due - loop.time())
        yield
        due = max(due + interval, loop.time())


async def watch(endpoint: Endpoint, offset: float, config: Config, carbon: Carbon) -> None:
    """Look at the endpoint for ever, first after `offset` seconds, and give carbon the lines of each look. Logs when it
    begins to fail, and when it is back."""
    failing = ""
    async with session(endpoint, config.timeout / 1000) as client:
        async for _ in ticks(config.check_interval / 1000, offset):
            second = int(time.time())
            found, failed = await look(client, endpoint)
            carbon.put([line(name, number, second) for name, number in found])
            carbon.counters.looks += 1
            carbon.counters.failures += bool(failed)
            if bool(failed) != bool(failing):
                log.warning("%s: %s", endpoint.prefix, failed or "answers again")
            failing = failed


def session(endpoint: Endpoint, timeout: float) -> aiohttp.ClientSession:
    """A connection of its own, kept open between looks: endpoints do not wait for each other."""
    connector = (aiohttp.UnixConnector(str(endpoint.socket), limit=1) if endpoint.socket
                 else aiohttp.TCPConnector(limit=1))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout),
                                 cookie_jar=aiohttp.DummyCookieJar(),
                                 headers={"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {})


async def look(client: aiohttp.ClientSession, endpoint: Endpoint) -> tuple[list[tuple[str, float]], str]:
    """(name, number) of all it shows, and of its failure where that has a name; and why there is nothing, else ""."""
    found, failed = [], ""
    try:
        found = list(islice(named(numbers(await shown(client, str(endpoint.url))), endpoint), MOST))
    except TimeoutError:
        failed = "no answer in time"
    except Exception as error:  # whatever it is: one endpoint must not end the looks at the others
        failed = str(error) or type(error).__name__
    if endpoint.failure_metric:
        found.append((endpoint.failure_metric, int(bool(failed))))
    return found, failed


async def shown(client: aiohttp.ClientSession, url: str) -> object:
    """The JSON there. Raises aiohttp.ClientError, OSError (TimeoutError too), or ValueError if it is none."""
    async with client.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"answers {answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > LARGEST:
                raise ValueError(f"sends more than {LARGEST} bytes")
        return json.loads(body)


def numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """(name, number) of all numbers in JSON's value; names of nested keys are joined by dots, entries are numbered."""
    if len(name) > LONGEST:
        return
    if isinstance(value, int | float):
        yield name, value + 0  # true is 1
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{name}.{key}" if name else str(key))


def named(found: Iterable[tuple[str, float]], endpoint: Endpoint) -> Iterator[tuple[str, float]]:
    """What of it is to be sent, under the names that it shall have."""
    for name, number in found:
        if abs(number) < 1e300 and not any(fnmatchcase(name, pattern) for pattern in endpoint.ignore):
            yield f"{endpoint.prefix}.{UNFIT.sub('_', name) or '_'}", number


def line(name: str, number: float, second: int) -> bytes:
    return f"{name} {number!r} {second}\n".encode()
