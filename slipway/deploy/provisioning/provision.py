"""`python -m slipway.deploy provision`: inspects all hosts, locks them, and applies the recipe to each."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TextIO

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused
from ..server import site
from ..server.files import serves_http
from ..server.site import Out
from ..ssh import connection
from ..ssh.connection import who
from ..ssh.conversation import why_ended
from ..ssh.gather import gathered, on_each
from ..ssh.process import in_thread
from ..swarm.nodes import Nodes
from . import fitness, progress
from .channels import PYTHON, Channels, locked, looking
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


async def drain(fleet: Fleet, balancers: Sequence[Host], name: str, away: bool, out: TextIO = sys.stdout) -> int:
    """Have these balancers send that web host no visitors, or send it some again. Returns the number of changes. Raises
    as provision does."""
    web = [host.name for host in fleet.with_role("web")]
    if name not in web:
        raise Refused(f"there is no web host {name!r}; there are: {', '.join(web)}")
    if not balancers:
        raise Refused("none of the hosts has balancer = true: only what sends visitors to a host can drain it")
    session, recipe, _ = modules()
    function = functools.partial(recipe.drain, name=name, away=away)
    return await work(session, fleet, balancers, "drain" if away else "undrain", function, False, out)


async def work(session: ModuleType, fleet: Fleet, hosts: Sequence[Host], what: str, recipe: Callable[..., None],
               check: bool, out: TextIO) -> int:
    """Inspect and lock `hosts`, apply the recipe to each, and report. `what`: the command, for the locks."""
    found = await on_each(hosts, lambda host: inspect(fleet, host, what == "remove"))
    known = found | await others(fleet, hosts)
    bare = [host for host in hosts if "python3" in found[host.name].missing]
    announce = functools.partial(progress.announce, out)
    nodes = Nodes(fleet, check, announce)
    reached = looking(fleet, hosts, bare) if check else locked(fleet, hosts, bare, who(what), announce)
    async with reached as channels:
        run = session.Session({host.name: channels[host.name] for host in hosts}, check, announce)
        who_is_out = await left_out(fleet, known, channels)
        try:
            with run.entered():
                await on_each(hosts, lambda host: in_thread(
                    run.work, host.name, recipe, fleet, host, found[host.name], who_is_out),
                    Refused if check else DeployError)
            if fleet.is_swarm and what == "provision":
                await nodes.bring(hosts)
        finally:
            progress.refused(out, {host.name: found[host.name] for host in hosts if check and serves_http(host)})
            progress.nodes(out, fleet, found if what == "provision" else {})
            drained = who_is_out.drained if what == "provision" else ()
            progress.left_out(out, Out(drained, who_is_out.silent), fleet.by_consul)
            total = progress.report(out, check, {
                host.name: [PYTHON] * (host in bare) + run.changes(host.name) for host in hosts}, nodes.changes)
    return total


async def others(fleet: Fleet, hosts: Sequence[Host]) -> dict[str, Found]:
    """Where one of `hosts` balances: what is found on other balancers and web hosts. One that cannot be asked is left
    out."""
    if not any(host.balancer for host in hosts):
        return {}
    asked = [host for host in fleet.hosts if (host.balancer or host.has("web")) and host not in hosts]
    return (await gathered(asked, lambda host: inspect(fleet, host, True)))[0]


async def left_out(fleet: Fleet, known: Mapping[str, Found], channels: Channels) -> Out:
    """Who gets no visitors. Whom a balancer has drained is asked again, now that it is locked; what one has, the others
    get. A web host that is not known is taken to have a release."""
    async def drained(balancer: Host) -> Sequence[str]:
        if balancer.name not in channels:
            return known[balancer.name].drained
        done = await channels[balancer.name].command(f"cat {site.drained_file(fleet.app)} 2>/dev/null || :")
        return done.out.decode(errors="replace").split()
    balancers = [host for host in fleet.balancers if host.name in known]
    names = await on_each(balancers, drained)
    return Out(site.drained(fleet, {name for some in names.values() for name in some}), site.silent(
        {web.name: known[web.name].serves for web in fleet.with_role("web") if web.name in known}))


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
    if problems := [*fitness.problems(found, fleet.app), *([] if remove else fitness.with_consul(found, fleet, host))]:
        raise HostProblem(*problems)
    return found
