"""`python -m deploy provision`: inspects all hosts, locks them, and brings each to where the recipe says."""

import functools
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TextIO

from ..decide.config import Fleet, Host
from ..decide.ssh import Ssh
from ..errors import DeployError, HostProblem, Refused
from ..reach import connection
from ..reach.connection import who
from ..reach.conversation import why
from ..reach.gather import on_each
from ..reach.process import in_thread
from . import fitness
from .channels import PYTHON, locked, looking
from .fitness import Found
from .progress import Progress


async def provision(fleet: Fleet, ssh: Ssh, hosts: Sequence[Host], check: bool = False, remove: str = "",
                    out: TextIO = sys.stdout) -> int:
    """Bring `hosts` to what the fleet says, or take the app off the host `remove`; with `check` only say what would
    be done. Returns the number of changes. Raises Refused when nothing was done, DeployError when it failed midway."""
    session, recipe = modules(bool(remove))
    hosts = [host_to_remove(fleet, remove)] if remove else hosts
    found = await on_each(hosts, lambda host: inspect(fleet, host, ssh, bool(remove)))
    bare = [host for host in hosts if "python3" in found[host.name].missing]
    progress = Progress(out, check)
    reached = looking(fleet, ssh, hosts, bare) if check else locked(
        fleet, ssh, hosts, bare, who("remove" if remove else "provision"), progress.announce)
    async with reached as channels:
        run = session.Session(channels, check, progress.announce)
        try:
            with run.open():
                await on_each(hosts, lambda host: in_thread(
                    run.work, host.name, recipe, fleet, host, found[host.name]), Refused if check else DeployError)
        finally:
            total = progress.report({host.name: [PYTHON] * (host in bare) + run.changes(host.name) for host in hosts})
    return total


def modules(remove: bool) -> tuple[ModuleType, Callable[[Fleet, Host, Found], None]]:
    """What works with pyinfra, and the recipe. Raises Refused where pyinfra is not installed, or the team's own part
    is wrong."""
    try:
        from . import more, recipe, session
    except ModuleNotFoundError as error:
        raise Refused(f"provisioning needs {error.name}, which is not installed: run make provision") from None
    if remove:
        return session, recipe.remove
    return session, functools.partial(recipe.provision, team=more.load())


def host_to_remove(fleet: Fleet, name: str) -> Host:
    """The host of that name, or one that the file no longer knows, which then is its address too."""
    return next((host for host in fleet.hosts if name in (host.name, host.address)), Host(name, name))


async def inspect(fleet: Fleet, host: Host, ssh: Ssh, remove: bool) -> Found:
    """What is found on a host. Raises HostProblem when it cannot be reached or is not fit."""
    done = await connection.run(host, ssh, fitness.inspection(fleet, remove))
    if done.code:
        raise HostProblem(why(done.code, done.err))
    found = fitness.parse(done.out.decode(errors="replace").splitlines())
    if problems := fitness.problems(found, fleet.app):
        raise HostProblem(*problems)
    return found
