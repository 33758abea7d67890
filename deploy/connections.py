"""The hosts of a command, asked all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from .config import Host
from .errors import DeployError, HostProblem, Locked, Refused, on_hosts

K, T = TypeVar("K"), TypeVar("T")


async def together(function: Callable[[K], Awaitable[T]], items: Iterable[K]) -> dict[K, T]:
    """{item: what the function returned for it}, called for all at once. Raises what one raised."""
    items = list(items)
    return dict(zip(items, await asyncio.gather(*map(function, items))))


async def on_each(hosts: Iterable[Host], function: Callable[[Host], Awaitable[T]],
                  error: type[DeployError] = Refused) -> dict[str, T]:
    """`function(host)` for all hosts at once: host name → what it returned.

    Raises one error with the HostProblems of all, when all are done: Locked where one is, else `error`.
    """
    problems: dict[str, HostProblem] = {}

    async def call(host: Host) -> T | None:
        try:
            return await function(host)
        except HostProblem as problem:
            problems[host.name] = problem
            return None
    found = await together(call, hosts)
    if problems:
        kind = Locked if any(problem.locked for problem in problems.values()) else error
        raise kind(on_hosts({name: problem.args for name, problem in problems.items()}))
    return {host.name: result for host, result in found.items()}


async def first_alone(hosts: Iterable[Host], function: Callable[[Host], Awaitable[T]],
                      error: type[DeployError] = Refused) -> dict[str, T]:
    """The same, the first by name before the others: of two who want the same hosts one gets them all."""
    hosts = sorted(hosts, key=lambda host: host.name)
    return {**await on_each(hosts[:1], function, error), **await on_each(hosts[1:], function, error)}
