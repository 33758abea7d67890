"""Calls a function for all hosts at once, and reports all their problems together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..config import Host
from ..errors import DeployError, HostProblem, Locked, Refused, on_hosts

K = TypeVar("K")
T = TypeVar("T")
Problems = dict[str, list[str]]  # host name → what is wrong there


async def together(function: Callable[[K], Coroutine[Any, Any, T]], items: Iterable[K]) -> dict[K, T]:
    """Call the function for all items at once: {item: result}. Raises the first error when all calls have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {item: group.create_task(function(item)) for item in items}
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return {item: task.result() for item, task in tasks.items()}


def at_most(many: int, function: Callable[[K], Awaitable[T]]) -> Callable[[K], Awaitable[T]]:
    """The function for who calls it for all at once: so many calls are under way, the others wait for their turn."""
    gate = asyncio.Semaphore(many)

    async def call(item: K) -> T:
        async with gate:
            return await function(item)
    return call


async def gathered(hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]]) -> tuple[
        dict[str, T], dict[str, HostProblem]]:
    """(host name → what the function returned, host name → its HostProblem), called for all hosts at once."""
    async def call(host: Host) -> T | HostProblem:
        try:
            return await function(host)
        except HostProblem as problem:
            return problem
    named = {host.name: host for host in hosts}
    ends = await together(lambda name: call(named[name]), named)
    return ({name: end for name, end in ends.items() if not isinstance(end, HostProblem)},
            {name: end for name, end in ends.items() if isinstance(end, HostProblem)})


async def on_each(hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]],
                  error: type[DeployError] = Refused) -> dict[str, T]:
    """Call the function for all hosts at once; host name → result. When all have ended, raises one error with all
    HostProblems: Locked where a host is locked, else `error`."""
    found, problems = await gathered(hosts, function)
    if problems:
        kind = Locked if any(problem.locked for problem in problems.values()) else error
        raise kind(on_hosts(texts(problems)))
    return found


def texts(problems: Mapping[str, HostProblem]) -> Problems:
    """The problems as on_hosts takes them."""
    return {name: list(problem.args) for name, problem in problems.items()}
