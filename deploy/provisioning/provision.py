"""`python -m deploy provision`: inspects all hosts, locks them, and applies the recipe to each."""

import functools
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TextIO

from ..decide.config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused
from ..reach import connection, limits
from ..reach.connection import who
from ..reach.conversation import why_ended
from ..reach.gather import on_each
from ..reach.process import in_thread
from . import fitness, progress
from .channels import PYTHON, locked, looking
from .fitness import Found


async def provision(fleet: Fleet, hosts: Sequence[Host], check: bool = False, remove: str = "",
                    out: TextIO = sys.stdout) -> int:
    """Make `hosts` what the fleet says, or take the app off the host `remove`; with `check` only say what would be
    done. Returns the number of changes. Raises Refused or Locked when nothing was done, DeployError when it failed
    midway."""
    session, recipe = modules(bool(remove))
    hosts = [host_to_remove(fleet, remove)] if remove else hosts
    limits.allow(len(hosts))
    found = await on_each(hosts, lambda host: inspect(fleet, host, bool(remove)))
    bare = [host for host in hosts if "python3" in found[host.name].missing]
    announce = functools.partial(progress.announce, out)
    reached = looking(fleet, hosts, bare) if check else locked(
        fleet, hosts, bare, who("remove" if remove else "provision"), announce)
    async with reached as channels:
        run = session.Session(channels, check, announce)
        try:
            with run.entered():
                await on_each(hosts, lambda host: in_thread(
                    run.work, host.name, recipe, fleet, host, found[host.name]), Refused if check else DeployError)
        finally:
            total = progress.report(out, check, {
                host.name: [PYTHON] * (host in bare) + run.changes(host.name) for host in hosts})
    return total


def modules(remove: bool) -> tuple[ModuleType, Callable[[Fleet, Host, Found], None]]:
    """(the module session, the recipe), which need pyinfra. Raises Refused where it is not installed, or the team's
    file cannot be loaded."""
    try:
        from . import recipe, session, team
    except ModuleNotFoundError as error:
        raise Refused(f"provisioning needs {error.name}, which is not installed: run make provision") from None
    if remove:
        return session, recipe.remove
    return session, functools.partial(recipe.provision, team=team.load())


def host_to_remove(fleet: Fleet, name: str) -> Host:
    """The host of that name or address; where the fleet has none, a host with this name as its address."""
    return next((host for host in fleet.hosts if name in (host.name, host.address)), Host(name, name))


async def inspect(fleet: Fleet, host: Host, remove: bool) -> Found:
    """What inspect.sh finds on a host. Raises HostProblem where it cannot be reached, or is not fit."""
    done = await connection.run(host, fleet.ssh, fitness.inspection(fleet, remove))
    if done.code:
        raise HostProblem(why_ended(done.code, done.err))
    found = fitness.parse(done.out.decode(errors="replace").splitlines())
    if problems := fitness.problems(found, fleet.app):
        raise HostProblem(*problems)
    return found
