"""Which hosts become nodes of a swarm, in what order, and which can't: decided without one."""

import asyncio
import json
from dataclasses import replace

import pytest

from slipway.deploy import config
from slipway.deploy.config import Host
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.provisioning.fitness import Found
from slipway.deploy.provisioning.swarm import Nodes
from slipway.deploy.server import files
from slipway.deploy.ssh.process import Done
from slipway.deploy.swarm import nodes as swarm
from slipway.deploy.swarm.nodes import Node, Part
from deployer.recipes import Plan

ADDRESSES = {"web1": "10.0.0.11", "web2": "10.0.0.12", "work": "10.0.0.13"}
TOKEN = "SWMTKN-1-secret-of-all"


@pytest.fixture
def data(data):
    """A swarm of three, and a balancer that is no node."""
    data["hosts"]["work"]["internal"] = ADDRESSES["work"]
    return {**data, "engine": {"kind": "swarm", "replicas": {"web": 2, "worker": 1, "beat": 1}}}


def node(name, role="manager", labels=None, **more):
    """What a manager knows of a host that is as it should be."""
    roles = {"web1": ["web"], "web2": ["web"], "work": ["worker", "beat"]}[name]
    labels = {f"shop.{each}": "true" for each in roles} if labels is None else labels
    return Node(f"n-{name}", role, "ready", ADDRESSES[name], labels, **more)


def parts(*nodes, cluster="c1"):
    """The parts of hosts whose nodes these are."""
    return {each.id.removeprefix("n-"): Part("active", each.id, cluster if each.role == "manager" else "",
                                             nodes if each.role == "manager" else ()) for each in nodes}


ALL = [node("web1"), node("web2"), node("work")]
BARE = dict.fromkeys(ADDRESSES, Part())


def told(fleet, found, names=()):
    """(host, verb, words) of each step."""
    hosts = [host for host in fleet.hosts if not names or host.name in names]
    return [(step.host, step.verb, *step.words) for step in swarm.steps(fleet, hosts, found)]


def test_bare_hosts_become_a_swarm(fleet):
    """The first begins it, the others join; the balancer is no node; labels come last."""
    assert told(fleet, BARE) == [
        ("web1", "init"), ("web2", "join", "manager"), ("work", "join", "manager"),
        ("web1", "labels", "--label-add=shop.web=true"), ("web2", "labels", "--label-add=shop.web=true"),
        ("work", "labels", "--label-add=shop.worker=true", "--label-add=shop.beat=true")]
    assert told(fleet, parts(*ALL)) == []


def test_managers_come_before_others_go(data):
    """The file names another one: it is promoted before the old ones are demoted."""
    data["engine"]["managers"] = ["work"]
    fleet = config.build(data, {}, "test")
    assert told(fleet, parts(node("web1"), node("web2"), node("work", "worker"))) == [
        ("work", "promote"), ("web1", "demote"), ("web2", "demote")]
    assert [step[:3] for step in told(fleet, BARE)[:3]] == [
        ("work", "init"), ("web1", "join", "worker"), ("web2", "join", "worker")]


def test_labels_of_gone_roles_go_and_those_of_others_stay(fleet):
    """Only keys that begin with the app's name and a dot are its own."""
    labels = {"shop.web": "true", "shop.smtp": "true", "shop.worker": "false", "shop2.web": "true", "rack": "7"}
    found = parts(node("web1"), node("web2"), node("work", labels=labels))
    assert told(fleet, found) == [("work", "labels", "--label-add=shop.worker=true", "--label-add=shop.beat=true",
                                   "--label-rm=shop.web", "--label-rm=shop.smtp")]


def test_a_host_that_was_made_anew(fleet):
    """Its node of before is down, with the same address: forgotten once the new one has joined."""
    old = Node("old", "manager", "down", ADDRESSES["web2"])
    nodes = (node("web1"), node("work"), old)
    found = {**parts(node("web1"), node("work")), "web2": Part()}
    found = {name: replace(part, nodes=nodes) if part.cluster else part for name, part in found.items()}
    assert told(fleet, found) == [("web2", "join", "manager"), ("web2", "forget", "old", "manager"),
                                  ("web2", "labels", "--label-add=shop.web=true")]


@pytest.mark.parametrize("found, wrong", [
    ({**parts(*ALL[:2]), "work": Part("active", "x", "c2", (Node("x", "manager", "ready", "10.9.9.9"),))},
     {"work": "is a node of another swarm than web1: run docker swarm leave there, or take it out of the file"}),
    ({**BARE, "web2": Part("active", "x")}, {"web2": "is a node of a swarm none of whose managers is a host of the"
                                             " file, or can be asked: bring one, or run docker swarm leave there"}),
    ({**BARE, "web2": Part("locked")},
     {"web2": "its part in a swarm is locked: see docker info, or run docker swarm leave there"}),
    ({**parts(*ALL[1:]), "web1": replace(parts(*ALL)["web1"], nodes=(), trouble="no leader")},
     {"web1": "its swarm has no leader (no leader): bring its other managers back, or see docs/swarm.md"}),
    ({"web2": Part(), "work": Part()}, dict.fromkeys(("web2", "work"), "no manager of the swarm can be asked: web1")),
])
def test_hosts_that_cannot_be_nodes(fleet, found, wrong):
    """One clear line for each; nothing is done anywhere."""
    assert swarm.problems(fleet, found) == {name: [text] for name, text in wrong.items()}
    with pytest.raises(Refused):
        Nodes(fleet, fleet.app_hosts[1:], {name: Found(part=part) for name, part in found.items()}, "provision")


def test_a_host_is_taken_out(fleet):
    """Its own labels go first; another app's keep it in; a manager hands over, the last one ends the swarm."""
    web2 = fleet.hosts[1]
    assert [(step.host, step.verb) for step in swarm.leaving(fleet, web2, parts(*ALL))] == [
        ("web2", "labels"), ("web2", "drain"), ("web2", "demote"), ("web2", "leave")]
    found = parts(node("web1"), node("web2", labels={"shop.web": "true", "blog.web": "true"}))
    assert [step.verb for step in swarm.leaving(fleet, web2, found)] == ["labels"]
    found = parts(node("web2"), node("web1", "worker"), node("work", "worker"))
    assert [(step.host, step.verb) for step in swarm.leaving(fleet, web2, found)] == [
        ("web2", "labels"), ("web1", "promote"), ("work", "promote"), ("web2", "drain"), ("web2", "demote"),
        ("web2", "leave")]
    assert [step.verb for step in swarm.leaving(fleet, web2, parts(node("web2")))] == ["labels", "drain", "leave"]
    assert swarm.leaving(fleet, web2, BARE) == []


def test_the_file_has_numeric_addresses(data):
    """By a name nodes would not find each other after it has changed."""
    del data["hosts"]["work"]["internal"]
    with pytest.raises(Refused) as error:
        config.build(data, {}, "test")
    assert str(error.value) == ("test: hosts.work.internal: is needed: the numeric address at which the swarm's nodes"
                                " reach it")


def test_the_network_of_containers_is_not_the_hosts_own(data):
    """What is asked for at the beginning cannot be changed later."""
    body = json.loads(swarm.init_body(config.build(data, {}, "test"), Host("web2", "web2", internal="10.0.0.12:8080")))
    assert body == {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "10.0.0.12", "DataPathAddr": "10.0.0.12",
                    "DefaultAddrPool": ["10.83.0.0/16"], "SubnetSize": 24}
    data["hosts"]["work"]["internal"] = "10.83.7.1"
    assert swarm.pool(config.build(data, {}, "test")) == "172.29.0.0/16"


# ---- on the hosts ----

class Engine:
    """A host: it knows the token, and `fails` where a command has that in it."""

    def __init__(self, fails="nothing"):
        self.fails, self.commands, self.inputs = fails, [], []

    async def command(self, script, input=b"", timeout=600):
        self.commands.append(script)
        self.inputs.append(input.decode())
        if self.fails in script:
            return Done(1, b"", f"it failed\nError: cannot join with {TOKEN} here\n".encode())
        return Done(0, TOKEN.encode() if "join-token" in script else b"10.0.0.11:2377 " * ("Remote" in script), b"")


def bring(fleet, engines, found=BARE):
    nodes = Nodes(fleet, fleet.app_hosts, {name: Found(part=part) for name, part in found.items()}, "provision")
    asyncio.run(nodes.bring(engines, False, lambda host, text: None))
    return nodes.changes


def test_a_token_goes_by_stdin_alone(fleet):
    """A command line shows in every process list, and what fails is told."""
    engines = {name: Engine() for name in ADDRESSES}
    assert bring(fleet, engines)["web2"] == ["join the swarm as a manager", "label the node: shop.web"]
    assert any(TOKEN in text for text in engines["web2"].inputs)
    assert not any(TOKEN in command for engine in engines.values() for command in engine.commands)
    engines["work"] = Engine("/swarm/join")
    with pytest.raises(DeployError) as error:
        bring(fleet, engines)
    assert str(error.value) == "on work: join the swarm as a manager: Error: cannot join with … here"


def test_what_a_bare_host_gets(fleet):
    """Nothing of slots: neither units nor programs; live-restore is off, and the proxy has a folder."""
    plan = Plan(fleet, "web1", Found(daemon_json='{"live-restore": true, "debug": true}'))
    assert json.loads(plan.files[files.DAEMON][0]) == {"live-restore": False, "debug": True}
    assert plan.commands["reload docker.service"][0] == "systemctl reload docker.service"
    assert not [name for name in plan.files if "docker-" in name or "/shop-" in name]
    assert next(files.app_files(fleet, fleet.hosts[0])).path == "/etc/default/shop", "it marks the app's name"
    lines = plan.files["/etc/tmpfiles.d/shop.conf"][0].splitlines()
    assert [line for line in lines if line[:1] != "#" and line] == [
        "d /run/shop 0750 root www-data -", "d /run/shop/proxy 2710 10001 www-data -",
        "L /run/shop/web.sock - - - - proxy/web.sock"]
    assert not {"give the swarm the visitors", "drain the slots", "enable shop.target"} & {*plan.names}


UNITS = ("shop-web@a.service", "shop.target")


def test_slots_keep_the_visitors_until_the_swarm_has_a_release(fleet):
    """Then it gets them first, what is under way ends, and only then units stop."""
    held = Plan(fleet, "web1", Found(units=UNITS, processes=("web@",), link="b/web.sock"))
    assert not [name for name in held.names if name.startswith(("stop", "remove", "give", "drain"))]
    lines = held.files["/etc/tmpfiles.d/shop.conf"][0].splitlines()
    assert "L /run/shop/web.sock - - - - a/web.sock" in lines and "d /run/shop/proxy 2710 10001 www-data -" in lines
    assert not any("proxy/web.sock" in line for line in lines), "after a boot slot a has them"
    gone = Plan(fleet, "web1", Found(units=UNITS, processes=("web@",), link="b/web.sock", proxied=True))
    order = ["give the swarm the visitors", "drain the slots", "stop shop-web@a.service, shop.target",
             "clear the slots"]
    assert [name for name in gone.names if name in order] == order


def test_a_host_without_visitors_goes_over_with_the_others(fleet):
    """Its work is the swarm's once every web host reaches a release there."""
    known = {"web1": Found(proxied=True), "web2": Found(), "work": Found()}
    assert not Nodes(fleet, fleet.app_hosts, known, "provision").found["work"].proxied
    known["web2"] = Found(proxied=True)
    assert Nodes(fleet, fleet.app_hosts, known, "provision").found["work"].proxied
