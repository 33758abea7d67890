"""`python -m slipway.deploy provision`: inspects all hosts, locks them, and applies the recipe to each."""

import contextlib
import functools
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TextIO

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused, by_text
from ..server import site
from ..server.site import Out
from ..ssh import connection
from ..ssh.connection import Connection, who
from ..ssh.connections import Connections
from ..ssh.conversation import why_ended
from ..ssh.gather import gathered, on_each
from ..ssh.process import in_thread
from . import fitness
from .fitness import Found

MORE = "deploy.provision_more"  # a team's own operations


async def provision(fleet: Fleet, hosts: Sequence[Host], check: bool = False, remove: str = "",
                    out: TextIO = sys.stdout) -> int:
    """Make `hosts` what the fleet says, or take the app off the host `remove`; `check` only says it. Returns the number
    of changes. Raises Refused or Locked when nothing was done, DeployError midway."""
    session, recipe = modules()
    if remove:
        return await work(session, fleet, [host_to_remove(fleet, remove)], "remove", recipe.remove, check, out)
    function = functools.partial(recipe.provision, team=operations_of_the_team())
    return await work(session, fleet, hosts, "provision", function, check, out)


async def drain(fleet: Fleet, balancers: Sequence[Host], name: str, away: bool, out: TextIO = sys.stdout) -> int:
    """Have these balancers send that web host no visitors, or send it some again. Returns the number of changes. Raises
    as provision does."""
    web = [host.name for host in fleet.with_role("web")]
    if name not in web:
        raise Refused(f"there is no web host {name!r}; there are: {', '.join(web)}")
    if not balancers:
        raise Refused("none of the hosts has balancer = true: only what sends visitors to a host can drain it")
    session, recipe = modules()
    function = functools.partial(recipe.drain, name=name, away=away)
    return await work(session, fleet, balancers, "drain" if away else "undrain", function, False, out)


async def work(session: ModuleType, fleet: Fleet, hosts: Sequence[Host], what: str, recipe: Callable[..., None],
               check: bool, out: TextIO) -> int:
    """Inspect and lock `hosts`, apply the recipe to each, and report. `what`: the command, for the locks."""
    found = await on_each(hosts, lambda host: inspect(fleet, host, what == "remove"))
    known = found | await others(fleet, hosts)
    async with reached(fleet, hosts, "" if check else who(what)) as connections:
        run = session.Session({host.name: connections[host.name] for host in hosts}, check,
                              functools.partial(announce, out))
        left_out = await who_is_out(fleet, known, connections)
        try:
            with run.entered():
                await on_each(hosts, lambda host: in_thread(
                    run.work, host.name, recipe, fleet, host, found[host.name], left_out),
                    Refused if check else DeployError)
        finally:
            if what == "provision":
                notes(out, fleet, found, left_out)
            total = changes(out, check, {host.name: run.changes(host.name) for host in hosts})
    return total


@contextlib.asynccontextmanager
async def reached(fleet: Fleet, hosts: Sequence[Host], what: str) -> AsyncIterator[Mapping[str, Connection]]:
    """Yield connections by host name, locked for `what`, unlocked if it is "". Raises Locked, Refused."""
    async with Connections(fleet, [*hosts]) as connections:
        await connections.reach_all()
        if what:
            await connections.lock(what, Refused, bare=True)
        try:
            yield connections.connections
        except DeployError:  # the work on all hosts has ended, which it has not after an interrupt
            await connections.release()
            raise
        await connections.release()


async def others(fleet: Fleet, hosts: Sequence[Host]) -> dict[str, Found]:
    """Where one of `hosts` balances, return what is found on other balancers and web hosts that answer."""
    if not any(host.balancer for host in hosts):
        return {}
    asked = [host for host in fleet.hosts if (host.balancer or host.has("web")) and host not in hosts]
    return (await gathered(asked, lambda host: inspect(fleet, host, remove=True)))[0]


async def who_is_out(fleet: Fleet, known: Mapping[str, Found], connections: Mapping[str, Connection]) -> Out:
    """Who gets no visitors. Whom a balancer has drained is asked again, now that it is locked; what one has, the others
    get. A web host that is not known is taken to have a release."""
    async def drained(balancer: Host) -> Sequence[str]:
        if balancer.name not in connections:
            return known[balancer.name].drained
        done = await connections[balancer.name].command(f"cat {site.drained_file(fleet.app)} 2>/dev/null || :")
        return done.out.decode(errors="replace").split()
    balancers = [host for host in fleet.balancers if host.name in known]
    names = await on_each(balancers, drained)
    return Out(site.drained(fleet, {name for some in names.values() for name in some}), site.silent(
        {web.name: known[web.name].serves for web in fleet.with_role("web") if web.name in known}))


def modules() -> tuple[ModuleType, ModuleType]:
    """The modules session and recipe, which need pyinfra. Raises Refused where it is not installed."""
    try:
        from . import recipe, session
    except ModuleNotFoundError as error:
        raise Refused(f"provisioning needs {error.name}, which is not installed: run make provision") from None
    return session, recipe


def operations_of_the_team() -> Callable[[Fleet, Host], None]:
    """The function `provision` of deploy/provision_more.py, which is called last on each host; one that does nothing
    where there is no such file. Raises Refused where it cannot be loaded."""
    try:
        function: Callable[[Fleet, Host], None] = importlib.import_module(MORE).provision
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in ("deploy", MORE):
            return lambda fleet, host: None
        raise Refused(f"deploy/provision_more.py: {type(error).__name__}: {error}") from error
    return function


def host_to_remove(fleet: Fleet, name: str) -> Host:
    """The host of that name or address; where the fleet has none, a host with this name as its address."""
    return next((host for host in fleet.hosts if name in (host.name, host.address)), Host(name, name))


async def inspect(fleet: Fleet, host: Host, remove: bool) -> Found:
    """What inspect.sh finds on a host. Raises HostProblem where it cannot be reached, or is not fit."""
    done = await connection.run(host, fleet.ssh, fitness.inspection(fleet, remove))
    if done.code:
        raise HostProblem(why_ended(done.code, done.err))
    found = fitness.parse(done.out.decode(errors="replace").splitlines())
    problems = [*fitness.problems(found), *([] if remove else fitness.consul_problems(found, fleet, host))]
    if problems:
        raise HostProblem(*problems)
    return found


# ---- telling it ----

def announce(out: TextIO, host: str, text: str) -> None:
    """Say what is about to begin on a host."""
    print(f"{host}: {text} …", file=out, flush=True)


def notes(out: TextIO, fleet: Fleet, found: Mapping[str, Found], who: Out) -> None:
    """Tell which hosts are nodes of a swarm unasked, and which web hosts the balancers leave out."""
    for name, each in found.items():
        if each.node and not fleet.is_swarm:
            print(f"{name}: is a node of a swarm and stays one, so live-restore stays off: a restart of Docker ends"
                  " containers", file=out)
    cure = "make deploy" if fleet.by_consul else "make deploy, then make provision"  # Consul sees one that answers
    for name in who.silent:
        print(f"{name}: its web does not answer yet, so balancers send it nobody: {cure}", file=out)
    for name in who.drained:
        print(f"{name}: is drained: make undrain HOST={name}", file=out)


def changes(out: TextIO, check: bool, done: Mapping[str, Iterable[str]]) -> int:
    """Say the changes of each host, in their order; with `check`, what would be. Returns the number of all."""
    unique = {host: list(dict.fromkeys(texts)) for host, texts in sorted(done.items())}
    would, total = "would " * check, sum(map(len, unique.values()))
    for text, hosts in by_text(unique).items():
        print(f"{', '.join(hosts)}: {would}{text}", file=out)
    counts = ", ".join(f"{host} {len(texts)}" for host, texts in unique.items())
    print(f"{total} change{'s' * (total != 1)}{' to make' * check} ({counts})", file=out, flush=True)
    return total
