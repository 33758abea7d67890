"""Ports that processes of a team's own publish: docker gives each of a server once."""

import pytest

from slipway.deploy import config
from slipway.deploy.agent.roles import Process
from slipway.deploy.config.processes import problems
from slipway.deploy.errors import Refused

HOSTS = {"web1": ["web", "alerts", "mail"], "web2": ["web", "alerts"], "work1": ["mail", "alerts"]}
CLASHES = [  # what alerts publishes, what mail does, what is told
    (["25:2525"], ["25:2525"], ["'25:2525' and alerts's '25:2525' want the same port of web1, work1"]),
    (["25:2525"], ["127.0.0.1:25:1/tcp"], [
        "'127.0.0.1:25:1/tcp' and alerts's '25:2525' want the same port of web1, work1"]),
    (["0.0.0.0:25:1", "53:1/udp"], ["127.0.0.1:25:1", "53:9/udp"], [
        "'127.0.0.1:25:1' and alerts's '0.0.0.0:25:1' want the same port of web1, work1",
        "'53:9/udp' and alerts's '53:1/udp' want the same port of web1, work1"]),
    ([], ["25:1", "25:2"], ["'25:2' and mail's '25:1' want the same port of web1, work1"]),
    (["25:2525"], ["26:2525", "25:2525/udp"], []), (["127.0.0.1:25:1"], ["127.0.0.2:25:1"], [])]


@pytest.mark.parametrize("alerts, mail, told", CLASHES)
def test_a_port_is_published_once(alerts, mail, told):
    """What docker would refuse when the second process starts is told before, all at once; another address or protocol
    is another port."""
    both = Process("alerts", "x", False, "file", ports=alerts), Process("mail", "x", False, "file", ports=mail)
    assert list(problems(both, HOSTS, 60)) == [("process.mail.ports", line) for line in told]


def test_each_host_has_its_ports(data):
    """Two processes may have the same port on two hosts, but not on one."""
    data["process"] = {name: {"command": "x", "ports": ["25:2525"]} for name in ("alerts", "mail")}
    data["hosts"]["web1"]["roles"], data["hosts"]["web2"]["roles"] = ["web", "alerts"], ["web", "mail"]
    config.build(data, {}, "x.toml")
    data["hosts"]["web1"]["roles"] = ["web", "alerts", "mail"]
    with pytest.raises(Refused, match="x.toml: process.mail.ports: .* want the same port of web1$"):
        config.build(data, {}, "x.toml")
