"""The same for all hosts at once, and all their problems in one report."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..decide.config import Host
from ..errors import DeployError, HostProblem, Locked, Refused, on_hosts

K = TypeVar("K")
T = TypeVar("T")
Problems = dict[str, list[str]]  # host name → what is wrong there


async def together(function: Callable[[K], Coroutine[Any, Any, T]], items: Iterable[K]) -> dict[K, T]:
    """{item: what the function returned for it}, called for all at once. Raises what one raised. However it ends, all
    have ended: none goes on when nobody waits for it."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {item: group.create_task(function(item)) for item in items}
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return {item: task.result() for item, task in tasks.items()}


async def gathered(hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]]) -> tuple[
        dict[str, T], dict[str, HostProblem]]:
    """(host name → what `function(host)` returned, host name → its HostProblem), called for all at once."""
    found: dict[str, T] = {}
    problems: dict[str, HostProblem] = {}

    async def call(host: Host) -> None:
        try:
            found[host.name] = await function(host)
        except HostProblem as problem:
            problems[host.name] = problem
    await together(call, hosts)
    return {host.name: found[host.name] for host in hosts if host.name in found}, problems


async def on_each(hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]],
                  error: type[DeployError] = Refused) -> dict[str, T]:
    """`function(host)` for all hosts at once: host name → what it returned.

    Raises one error with the HostProblems of all, when all are done: Locked where one is, else `error`.
    """
    found, problems = await gathered(hosts, function)
    if problems:
        kind = Locked if any(problem.locked for problem in problems.values()) else error
        raise kind(on_hosts(texts(problems)))
    return found


async def first_alone(hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]],
                      error: type[DeployError] = Refused) -> dict[str, T]:
    """The same, the first by name before the others: of two who want the same hosts one gets them all."""
    hosts = sorted(hosts, key=lambda host: host.name)
    return {**await on_each(hosts[:1], function, error), **await on_each(hosts[1:], function, error)}


def texts(problems: Mapping[str, HostProblem]) -> Problems:
    return {name: list(problem.args) for name, problem in problems.items()}
