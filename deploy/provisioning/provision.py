"""`python -m deploy provision`: inspects all hosts, locks them, and applies the recipe to each."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TextIO

from ..decide import site
from ..decide.config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused
from ..reach import connection, limits
from ..reach.connection import who
from ..reach.conversation import why_ended
from ..reach.gather import gathered, on_each
from ..reach.process import in_thread
from . import fitness, progress
from .channels import PYTHON, locked, looking
from .fitness import Found


async def provision(fleet: Fleet, hosts: Sequence[Host], check: bool = False, remove: str = "",
                    out: TextIO = sys.stdout) -> int:
    """Make `hosts` what the fleet says, or take the app off the host `remove`; with `check` only say what would be
    done. Returns the number of changes. Raises Refused or Locked when nothing was done, DeployError when it failed
    midway."""
    session, recipe, team = modules()
    if remove:
        return await work(session, fleet, [host_to_remove(fleet, remove)], "remove", recipe.remove, check, out)
    function = functools.partial(recipe.provision, team=team.load())
    return await work(session, fleet, hosts, "provision", function, check, out)


async def drain(fleet: Fleet, name: str, away: bool, out: TextIO = sys.stdout) -> int:
    """Have all balancers send that web host no visitors, or send it some again. Returns the number of changes. Raises
    as provision does."""
    web = [host.name for host in fleet.with_role("web")]
    if name not in web:
        raise Refused(f"there is no web host {name!r}; there are: {', '.join(web)}")
    if not fleet.balancers:
        raise Refused("no host has balancer = true: only what sends visitors to the hosts can drain one")
    session, recipe, _ = modules()
    function = functools.partial(recipe.drain, name=name, away=away)
    return await work(session, fleet, fleet.balancers, "drain" if away else "undrain", function, False, out)


async def work(session: ModuleType, fleet: Fleet, hosts: Sequence[Host], what: str, recipe: Callable[..., None],
               check: bool, out: TextIO) -> int:
    """Inspect and lock `hosts`, apply the recipe to each, and report. `what`: the command, for the locks."""
    limits.allow(len(hosts))
    found = await on_each(hosts, lambda host: inspect(fleet, host, what == "remove"))
    left_out = await unreleased(fleet, hosts, found)
    bare = [host for host in hosts if "python3" in found[host.name].missing]
    announce = functools.partial(progress.announce, out)
    reached = looking(fleet, hosts, bare) if check else locked(fleet, hosts, bare, who(what), announce)
    async with reached as channels:
        run = session.Session(channels, check, announce)
        try:
            with run.entered():
                await on_each(hosts, lambda host: in_thread(
                    run.work, host.name, recipe, fleet, host, found[host.name], left_out),
                    Refused if check else DeployError)
        finally:
            progress.left_out(out, left_out)
            total = progress.report(out, check, {
                host.name: [PYTHON] * (host in bare) + run.changes(host.name) for host in hosts})
    return total


async def unreleased(fleet: Fleet, hosts: Sequence[Host], found: Mapping[str, Found]) -> list[str]:
    """Where one of `hosts` balances: names of the web hosts that have no release yet, as others have. One that cannot
    be asked is taken to have one."""
    if not any(host.balancer for host in hosts):
        return []
    web = fleet.with_role("web")
    others, _ = await gathered([host for host in web if host not in hosts], lambda host: inspect(fleet, host, True))
    known = {**found, **others}
    return site.unreleased({host.name: known[host.name].released for host in web if host.name in known})


def modules() -> tuple[ModuleType, ModuleType, ModuleType]:
    """The modules session, recipe and team, which need pyinfra. Raises Refused where it is not installed."""
    try:
        from . import recipe, session, team
    except ModuleNotFoundError as error:
        raise Refused(f"provisioning needs {error.name}, which is not installed: run make provision") from None
    return session, recipe, team


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
