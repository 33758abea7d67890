"""Inspects hosts, locks them, and applies a recipe of recipe.py: provision, remove or drain."""

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from ..agent.groups import plural
from ..agent.host import lines_of
from ..config import Fleet, Host, folder
from ..errors import DeployError, HostProblem, Refused, by_text
from ..server import site
from ..server.site import Out
from ..ssh import connection
from ..ssh.child import in_thread
from ..ssh.connection import Connection, who
from ..ssh.connections import locked
from ..ssh.gather import gathered, on_each
from ..ssh.validate import decoded, visible
from . import fitness, services
from .fitness import Inspection

MORE = "provision_more"  # the module with the team's own operations


async def provision(fleet: Fleet, hosts: Sequence[Host], check: bool = False, remove: str = "") -> int:
    """Provision `hosts`. If `remove` names a host, only remove the app from that host. With `check`, only list changes.
    Return the number of changes. On failure raise Refused or Locked; if hosts may be changed, raise DeployError."""
    from . import recipe, session

    if remove:
        return await work(session, fleet, [host_to_remove(fleet, remove)], "remove", recipe.remove, check)
    function = functools.partial(recipe.provision, team=operations_of_the_team())
    return await work(session, fleet, hosts, "provision", function, check)


async def drain(fleet: Fleet, balancers: Sequence[Host], name: str, away: bool) -> int:
    """Drain a host: `balancers` send it no visitors. Undrain it if `away` is False. Return the number of changes."""
    web = [host.name for host in fleet.with_role("web")]
    if name not in web:
        raise Refused(f"there is no web host {name!r}; the web hosts are: {', '.join(web)}")
    if not balancers:
        raise Refused("no host has balancer = true: only a balancer can drain a web host")
    from . import recipe, session

    function = functools.partial(recipe.drain, name=name, away=away)
    return await work(session, fleet, balancers, "drain" if away else "undrain", function, False)


async def work(
    session: ModuleType, fleet: Fleet, hosts: Sequence[Host], what: str, recipe: Callable[..., None], check: bool
) -> int:
    """Inspect and lock `hosts`, apply the recipe, print the changes, return their number. With `check`, lock and change
    nothing. Anybody else who wants the lock sees `what`, the command's name."""
    inspections = await on_each(hosts, lambda host: inspect(fleet, host, what != "provision"))
    all_inspections = inspections | await others(fleet, hosts)
    if what == "provision":
        await check_names(fleet, inspections)
    async with locked(fleet, hosts, "" if check else who(what), bare=True) as reached:
        connections = reached.connections
        run = session.Session({host.name: connections[host.name] for host in hosts}, check, announce)
        left_out = await who_is_out(fleet, all_inspections, connections)
        if what == "provision":
            recipe = functools.partial(recipe, credentials=await services.credentials(fleet, hosts, check))
        try:
            with run.entered():
                await on_each(
                    hosts,
                    lambda host: in_thread(run.work, host.name, recipe, fleet, host, inspections[host.name], left_out),
                    Refused if check else DeployError,
                )
        finally:
            if what == "provision":
                notes(fleet, inspections, left_out)
                for text in await also_of_root(fleet, connections):
                    print(visible(text))
            total = changes(check, {host.name: run.changes(host.name) for host in hosts})
    return total


async def others(fleet: Fleet, hosts: Sequence[Host]) -> dict[str, Inspection]:
    """If `hosts` has a balancer, inspect the balancers and web hosts outside `hosts`. Skip hosts with problems."""
    if not any(host.balancer for host in hosts):
        return {}
    asked = [host for host in fleet.hosts if (host.balancer or host.has("web")) and host not in hosts]
    return (await gathered(asked, lambda host: inspect(fleet, host, brief=True)))[0]


async def check_names(fleet: Fleet, inspections: Mapping[str, Inspection]) -> None:
    """Raise Refused if both hosts that send backups have one host name: by it restic knows the locks of a dead process
    on its own host. A host that cannot be asked is left out."""
    asked = [host for host in fleet.backup_hosts if host.name not in inspections]
    if len(asked) == len(fleet.backup_hosts):
        return
    known = {**inspections, **(await gathered(asked, lambda host: inspect(fleet, host, brief=True)))[0]}
    names = [known[host.name].hostname for host in fleet.backup_hosts if host.name in known]
    if len(names) == 2 and names[0] == names[1] != "":
        raise Refused(
            f"{' and '.join(host.name for host in fleet.backup_hosts)} have one host name, {names[0]}, and would remove"
            " each other's locks of the backups: on one of them run hostnamectl set-hostname ANOTHER"
        )


async def who_is_out(fleet: Fleet, inspections: Mapping[str, Inspection], connections: Mapping[str, Connection]) -> Out:
    """Return the web hosts that get no visitors, as far as the inspections show. If `connections` has a balancer,
    ask the balancer which hosts are drained now."""

    async def drained(balancer: Host) -> Sequence[str]:
        if balancer.name not in connections:
            return inspections[balancer.name].drained
        file = site.of_balancer(fleet.app, "drained")
        done = await connections[balancer.name].command(f"cat {file} 2>/dev/null || :")
        return done.out.decode(errors="replace").split()

    balancers = [host for host in fleet.balancers if host.name in inspections]
    names = await on_each(balancers, drained)
    return Out(
        site.drained(fleet, {name for some in names.values() for name in some}),
        site.silent(
            {web.name: inspections[web.name].serves for web in fleet.with_role("web") if web.name in inspections}
        ),
    )


def operations_of_the_team() -> Callable[[Fleet, Host], None]:
    """Return `provision` of $DEPLOY_FOLDER/provision_more.py; without that file, a no-op. Raise Refused if its import
    fails. Inside the working folder, the file may import others beside it: `from . import packages`."""
    file = Path(folder(os.environ), f"{MORE}.py")
    if not file.exists():
        return lambda fleet, host: None
    name = ".".join(Path(os.path.relpath(file.with_suffix(""))).parts)
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec and spec.loader  # noqa: S101  for types
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        function: Callable[[Fleet, Host], None] = module.provision
    except Exception as error:
        raise Refused(f"{os.path.normpath(file)}: {type(error).__name__}: {error}") from error
    return function


def host_to_remove(fleet: Fleet, name: str) -> Host:
    return next((host for host in fleet.hosts if name in (host.name, host.address)), Host(name, name))


async def inspect(fleet: Fleet, host: Host, brief: bool) -> Inspection:
    """Inspect a host. Raise HostProblem if it is unreachable or unfit. With `brief`, ignore settings, sites, Consul."""
    done = await connection.run(host, fleet.ssh, fitness.inspection(fleet, host, brief), check=True)
    inspection = fitness.parse(lines_of(done.out.decode(errors="replace")))
    problems = [
        *fitness.problems(inspection),
        *(
            []
            if brief
            else (
                *fitness.name_problems(inspection, fleet, host),
                *fitness.consul_problems(inspection, fleet, host),
                *await wrong_schedules(fleet, host),
            )
        ),
    ]
    if problems:
        raise HostProblem(*problems)
    return inspection


async def wrong_schedules(fleet: Fleet, host: Host) -> list[str]:
    """Return what the host's systemd says of schedules that it does not understand."""
    schedules = [process.schedule for name, process in fleet.timed.items() if host.has(name)]
    if not schedules:
        return []
    done = await connection.run(host, fleet.ssh, ["systemd-analyze", "calendar", *schedules])
    return [f"process: schedule: {decoded(done.err)}"] if done.code == 1 else []


async def also_of_root(fleet: Fleet, hosts: Mapping[str, Connection]) -> list[str]:
    """Return lines that name the deploy keys which are root's on a host, too."""
    lines, keys = [], [key.split(maxsplit=2) for key in fleet.limited_keys]
    for name, reached in hosts.items() if keys else ():
        known = (await reached.command("cat /root/.ssh/authorized_keys 2>/dev/null || :")).out.decode(errors="replace")
        for kind, body, *comment in keys:
            if f"{kind} {body}" in known:
                title = " ".join(comment) or f"{body[:20]}…"
                lines.append(f"{name}: the key {title} is root's, too: remove it from /root/.ssh/authorized_keys")
    return lines


# ---- output ----


def announce(host: str, text: str) -> None:
    print(visible(f"{host}: {text} …"), flush=True)


def notes(fleet: Fleet, inspections: Mapping[str, Inspection], who: Out) -> None:
    for name, each in inspections.items():
        if each.node and not fleet.is_swarm:
            print(f"{name}: is a swarm node, so live-restore stays off: a restart of Docker stops containers")
    for name in who.silent:
        print(f"{name}: web does not answer yet, so balancers skip this host: run slipway deploy --live")
    for name in who.drained:
        print(f"{name}: is drained: to end that, run slipway drain --end {name}")


def changes(check: bool, done: Mapping[str, Iterable[str]]) -> int:
    unique = {host: list(dict.fromkeys(texts)) for host, texts in sorted(done.items())}
    would, to_make = ("would ", " to make") if check else ("", "")
    total = sum(map(len, unique.values()))
    for text, hosts in by_text(unique).items():
        print(visible(f"{', '.join(hosts)}: {would}{text}"))
    counts = ", ".join(f"{host} {len(texts)}" for host, texts in unique.items())
    print(f"{plural(total, 'change')}{to_make} ({counts})", flush=True)
    return total
