"""Call a function for many hosts in parallel, and gather results and errors."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..config import Host
from ..errors import DeployError, HostProblem, Locked, Refused, on_hosts

K = TypeVar("K")
T = TypeVar("T")
Problems = dict[str, list[str]]  # host name → problems


async def gather(function: Callable[[K], Coroutine[Any, Any, T]], items: Iterable[K]) -> dict[K, T]:
    """Call the function for all items in parallel. If a call fails, cancel the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {item: group.create_task(function(item)) for item in items}
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return {item: task.result() for item, task in tasks.items()}


async def gathered(
    hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]]
) -> tuple[dict[str, T], dict[str, HostProblem]]:
    async def call(host: Host) -> T | HostProblem:
        try:
            return await function(host)
        except HostProblem as problem:
            return problem

    ends = {host.name: end for host, end in (await gather(call, hosts)).items()}
    return (
        {name: end for name, end in ends.items() if not isinstance(end, HostProblem)},
        {name: end for name, end in ends.items() if isinstance(end, HostProblem)},
    )


async def on_each(
    hosts: Sequence[Host], function: Callable[[Host], Awaitable[T]], error: type[DeployError] = Refused
) -> dict[str, T]:
    """Call the function for all hosts; return host → result. Raise one error of all problems: Locked or `error`."""
    results, problems = await gathered(hosts, function)
    if problems:
        kind = Locked if any(problem.locked for problem in problems.values()) else error
        raise kind(on_hosts(texts(problems)))
    return results


async def on_one(host: Host, work: Awaitable[T], error: type[DeployError] = DeployError) -> T:
    """Await what a host does; return its result. Raise its problem as `error`, with the host's name."""
    try:
        return await work
    except HostProblem as problem:
        raise error(on_hosts({host.name: problem.args})) from None


def texts(problems: Mapping[str, HostProblem]) -> Problems:
    return {name: list(problem.args) for name, problem in problems.items()}
