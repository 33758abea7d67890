"""Which hosts do what in a swarm, and what makes them its nodes. Pure."""

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import Fleet, Host
from ..server.site import place

# Containers get their addresses here: Docker's own choice, all of 10.0.0.0/8, may hold those of a database.
POOLS = ("10.83.0.0/16", "172.29.0.0/16")
PORT = 2377


@dataclass(frozen=True)
class Node:
    """What a manager knows of a node. `role`: manager or worker; `state`: ready, down, …; `address`: as the others
    reach it."""

    id: str
    role: str
    state: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a host's engine says of its part in a swarm. `state`: inactive, active, pending, error or locked; `cluster`
    and `nodes`: of managers; `trouble`: why a manager cannot name the nodes."""

    state: str = "inactive"
    id: str = ""
    cluster: str = ""
    nodes: tuple[Node, ...] = ()
    trouble: str = ""


@dataclass(frozen=True)
class Step:
    """Something to do for a host's node. `verb`: init, join, promote, demote, labels, forget, drain, leave; `words`:
    the role to join as, options of docker node update, the node to forget."""

    host: str
    verb: str
    text: str
    words: tuple[str, ...] = ()


Parts = Mapping[str, Part]  # host name → its part, of the hosts that could be asked


def managers(fleet: Fleet) -> list[Host]:
    """The hosts that manage the swarm: those that the file names, or else the first three, or the first of fewer."""
    named, hosts = fleet.engine["managers"], fleet.app_hosts
    return [host for host in hosts if host.name in named] or hosts[:3 if len(hosts) > 2 else 1]


def labels(fleet: Fleet, host: Host) -> dict[str, str]:
    """The labels of a host's node: its roles, so that what an app has there is placed nowhere else."""
    return {f"{fleet.app}.{role}": "true" for role in host.roles}


# ---- who is in the swarm ----

def manager(fleet: Fleet, parts: Parts) -> str:
    """The host that is asked about the swarm, and told to change it: a manager, of those that are to be one if there is
    any; "" without one."""
    names = [host.name for host in (*managers(fleet), *fleet.app_hosts)]
    return next((name for name in names if name in parts and parts[name].cluster and not parts[name].trouble), "")


def known(fleet: Fleet, parts: Parts) -> dict[str, Node]:
    """The swarm's nodes by id."""
    name = manager(fleet, parts)
    return {node.id: node for node in parts[name].nodes} if name else {}


def problems(fleet: Fleet, parts: Parts) -> dict[str, list[str]]:
    """Host name → why it cannot be a node of the fleet's swarm."""
    wrong = {name: [text] for name, part in parts.items() if (text := trouble(part))}
    boss, nodes = manager(fleet, parts), known(fleet, parts)
    for name, part in parts.items():
        if name not in wrong and part.state == "active" and part.id not in nodes:
            wrong[name] = [f"is a node of another swarm than {boss}: run docker swarm leave there, or take it out of"
                           " the file" if boss else "is a node of a swarm none of whose managers is a host of the file,"
                           " or can be asked: bring one, or run docker swarm leave there"]
    unasked = [host.name for host in managers(fleet) if host.name not in parts]
    if not boss and unasked and not wrong:
        wrong |= {name: [f"no manager of the swarm can be asked: {', '.join(unasked)}"] for name in parts}
    return wrong


def trouble(part: Part) -> str:
    """What is wrong with a host's part by itself, or nothing."""
    if part.trouble:
        return f"its swarm has no leader ({part.trouble}): bring its other managers back, or see docs/swarm.md"
    if part.state not in ("active", "inactive"):
        return f"its part in a swarm is {part.state}: see docker info, or run docker swarm leave there"
    return ""


# ---- what is to be done ----

def steps(fleet: Fleet, hosts: Sequence[Host], parts: Parts) -> list[Step]:
    """All that makes `hosts` the nodes that the file says, in order: who comes before who goes."""
    bosses, nodes = [host.name for host in managers(fleet)], known(fleet, parts)
    mine = {host.name: nodes.get(parts[host.name].id) for host in hosts if host.roles}
    return [*coming(fleet, bosses, mine, bool(nodes)),
            *(Step(name, "promote", "make it a manager of the swarm") for name, node in mine.items()
              if node and node.role != "manager" and name in bosses),
            *(Step(name, "demote", "make it no manager of the swarm") for name, node in mine.items()
              if node and node.role == "manager" and name not in bosses),
            *(step for host in hosts if host.name in mine for step in (
                *gone(host, mine[host.name], nodes), *labelled(fleet, host, mine[host.name])))]


def coming(fleet: Fleet, bosses: list[str], mine: Mapping[str, Node | None], exists: bool) -> Iterator[Step]:
    """The steps for hosts that are no nodes yet: managers first."""
    names = sorted((name for name, node in mine.items() if not node), key=lambda name: name not in bosses)
    for name in names:
        if not exists:
            yield Step(name, "init", "begin a swarm")
        else:
            role = "manager" if name in bosses else "worker"
            yield Step(name, "join", f"join the swarm as a {role}", (role,))
        exists = True


def gone(host: Host, node: Node | None, nodes: Mapping[str, Node]) -> Iterator[Step]:
    """The steps that forget what the host was before it was made anew: nodes of its address that are down."""
    for other in nodes.values():
        if other.state == "down" and other.address == place(host)[0] and (not node or other.id != node.id):
            yield Step(host.name, "forget", f"forget the node that it was, {other.id}", (other.id, other.role))


def labelled(fleet: Fleet, host: Host, node: Node | None) -> Iterator[Step]:
    """The step that makes the app's labels those of the host's roles. Other labels stay."""
    there = {key: value for key, value in (node.labels if node else {}).items() if key.startswith(f"{fleet.app}.")}
    wanted = labels(fleet, host)
    words = [*(f"--label-add={key}={value}" for key, value in wanted.items() if there.get(key) != value),
             *(f"--label-rm={key}" for key in there if key not in wanted)]
    if words:
        yield Step(host.name, "labels", f"label the node: {', '.join(wanted) or 'nothing'}", tuple(words))


def leaving(fleet: Fleet, victim: Host, parts: Parts) -> list[Step]:
    """The steps that take a host out: what the app has there ends; the swarm is left, too, unless another app's labels
    are on the node."""
    node = known(fleet, parts).get(parts[victim.name].id)
    if not node:
        return []
    rest = [host.name for host in managers(fleet) if host.name in parts and host.name != victim.name]
    own = labelled(fleet, Host(victim.name, victim.address), node)
    steps = [Step(victim.name, "labels", "take the app's labels off the node", step.words) for step in own]
    if any(not key.startswith(f"{fleet.app}.") for key in node.labels):
        return steps
    nodes = known(fleet, parts)
    for name in rest if node.role == "manager" else []:
        if (other := nodes.get(parts[name].id)) and other.role != "manager":
            steps.append(Step(name, "promote", "make it a manager of the swarm"))
    return [*steps, Step(victim.name, "drain", "drain the node"),
            *([Step(victim.name, "demote", "make it no manager of the swarm")] if node.role == "manager" and rest
              else []),
            Step(victim.name, "leave", "leave the swarm", (node.id,))]


# ---- what the engine is asked ----

def init_body(fleet: Fleet, host: Host) -> str:
    """The body of the engine's /swarm/init."""
    return json.dumps({**addresses(host), "DefaultAddrPool": [pool(fleet)], "SubnetSize": 24})


def join_body(host: Host, token: str, remotes: Sequence[str]) -> str:
    """The body of the engine's /swarm/join: a secret. `remotes`: addresses of managers."""
    return json.dumps({**addresses(host), "RemoteAddrs": list(remotes), "JoinToken": token})


def addresses(host: Host) -> dict[str, str]:
    """Where other nodes reach a host."""
    address = place(host)[0]
    return {"ListenAddr": f"0.0.0.0:{PORT}", "AdvertiseAddr": address, "DataPathAddr": address}


def pool(fleet: Fleet) -> str:
    """The network of containers' addresses: none in which a host is."""
    hosts = [ipaddress.ip_address(place(host)[0]) for host in fleet.app_hosts]
    free = (pool for pool in POOLS if not any(host in ipaddress.ip_network(pool) for host in hosts))
    return next(free, POOLS[0])
