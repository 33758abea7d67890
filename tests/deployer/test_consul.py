"""Consul: what web hosts tell it, and what a balancer makes of its answers. Its stand-in is asked; Consul itself by
tests/e2e/test_consul.py."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from slipway.deploy import config
from slipway.deploy.provisioning import fitness, report
from slipway.deploy.provisioning.fitness import Found
from slipway.deploy.server import consul, files as server, site, consul_hosts
from slipway.deploy.server.consul_hosts import Web, in_use, listed, merged, parsed, web_of
from slipway.deploy.server.site import Out
from deployer.recipes import Plan
from deployer.test_recipe import there
from deployer.test_server import files, host_of

GOLDEN = Path(__file__).parent / "golden"
HOSTS = "/etc/nginx/shop-balancer/hosts.conf"
AGENT = {"CheckID": "serfHealth", "ServiceID": "", "Status": "passing"}


@pytest.fixture
def by_consul(data):
    return config.build({**data, "balancer": "consul"}, {}, "test")


def told(address="10.0.0.11", port=80, name="web1", status="passing", **more):
    """What Consul tells of a host."""
    checks = [AGENT, {"CheckID": "service:shop", "ServiceID": "shop", "Status": status}]
    service = {"Address": address, "Port": port, "Meta": {"host": name}}
    return {"Node": {"Node": "node", "Address": "10.0.0.99"}, "Service": service, "Checks": checks} | more


# ---- what is written ----

def test_the_files_are_as_they_were(by_consul):
    """The same toml makes the same bytes. GOLDEN=1 writes them anew; then look at the difference."""
    balancer, = site.sites(by_consul, host_of(by_consul, "front"), True, Out(("web2",)))
    for name, text in (("consul-web2.json", consul.service(by_consul, host_of(by_consul, "web2")).content),
                       ("consul-hosts.conf", balancer.first[HOSTS])):
        if os.environ.get("GOLDEN"):
            (GOLDEN / name).write_text(text)
        assert (GOLDEN / name).read_text() == text, name


def test_the_balancer_includes_them(by_consul, fleet):
    """Nothing else differs from a balancer of the file's hosts, which forgets the list."""
    path = "/etc/nginx/sites-available/shop-balancer"
    ours, usual = files(by_consul, "front")[path], files(fleet, "front")[path]
    assert set(ours.splitlines()) - set(usual.splitlines()) == {f"    include {HOSTS};"}
    before, = site.sites(fleet, host_of(fleet, "front"), True)
    now, = site.sites(by_consul, host_of(by_consul, "front"), True)
    assert HOSTS in before.absent and not before.first and HOSTS not in now.absent


@pytest.mark.parametrize("internal, address, port", [
    ("10.0.0.11", "10.0.0.11", 80), ("10.0.0.11:8080", "10.0.0.11", 8080), ("fd00::1", "fd00::1", 80),
    ("[fd00::1]:8080", "fd00::1", 8080), ("[fd00::1]", "fd00::1", 80), ("web1.example:81", None, 81)])
def test_where_a_host_is_reached(data, internal, address, port):
    """A name is not for Consul to resolve: the agent's own address holds."""
    data["hosts"]["web1"]["internal"] = internal
    fleet = config.build({**data, "balancer": "consul"}, {}, "test")
    service = json.loads(consul.service(fleet, host_of(fleet, "web1")).content)["service"]
    assert (service.get("address"), service["port"]) == (address, port)
    assert parsed(site.first_hosts(fleet, Out()))[0].address.endswith(f":{port}")


def test_the_check_asks_as_a_visitor_would(data):
    """By https where TLS ends at the host; for any name of a wildcard, and for none where there is none."""
    del data["hosts"]["front"]
    data["site"] |= {"names": ["*.shop.example"], "tls": "files", "certificate": "/c", "key": "/k"}
    fleet = config.build({**data, "balancer": "consul"}, {}, "test")
    service = json.loads(consul.service(fleet, host_of(fleet, "web2")).content)["service"]
    assert service["port"] == 443 and service["check"]["http"] == "https://127.0.0.1/readyz"
    assert service["check"]["tls_skip_verify"] and service["check"]["header"] == {"Host": ["any.shop.example"]}
    data["site"]["names"] = []
    fleet = config.build({**data, "balancer": "consul"}, {}, "test")
    assert "header" not in consul.check(fleet, False)


# ---- provisioning ----

def test_a_web_host_tells_the_agent(by_consul, fleet):
    """In the end, when nginx answers; others do not."""
    plan = Plan(by_consul, "web1")
    assert plan.names.index("write /etc/consul.d/shop.json") > plan.names.index("enable nginx.service")
    assert "systemctl reload consul.service" in plan.commands["reload consul.service"][0]
    for other in (Plan(by_consul, "work"), Plan(fleet, "web1")):
        assert not any("consul" in name for name in other.names)


def test_a_balancer_follows(by_consul):
    """The script, its unit, and a first list."""
    plan = Plan(by_consul, "front")
    assert plan.files["/usr/local/bin/consul-hosts"][1] == "755" and HOSTS.replace("nginx", "nginx.new-shop-balancer") \
        in plan.files and "run consul-hosts@shop.service" in plan.names
    assert "/etc/systemd/system/consul-hosts@.service" in plan.files


def test_what_consul_had_is_taken_away(fleet, by_consul):
    """Our definition first, a team's own never; and what follows."""
    found = Found(registered=True, units=("consul-hosts@shop.service",))
    file = there("/etc/consul.d/shop.json")
    plan = Plan(fleet, "web1", found, file)
    assert plan.names.index("remove /etc/consul.d/shop.json") < plan.names.index("stop consul-hosts@shop.service")
    assert any("disable consul-hosts@shop.service" in script for script in plan.scripts())
    assert not any("remove /etc/consul.d" in name for name in Plan(fleet, "web1", Found(), file).names)
    assert "remove /etc/consul.d/shop.json" in Plan(by_consul, "web1", found, file, remove=True).names
    assert server.stale_units(by_consul, host_of(by_consul, "front"), found.units) == []


def test_an_agent_is_needed(by_consul, fleet):
    """Of hosts that tell Consul something, or ask it."""
    bare = Found(missing=frozenset({"consul-agent"}))
    for name, count in (("web1", 1), ("front", 1), ("work", 0)):
        assert len([*fitness.with_consul(bare, by_consul, host_of(by_consul, name))]) == count
    assert not [*fitness.with_consul(bare, fleet, host_of(fleet, "web1"))]
    assert not [*fitness.with_consul(Found(), by_consul, host_of(by_consul, "web1"))]
    other = Found(defined=True)
    assert [*fitness.with_consul(other, by_consul, host_of(by_consul, "web1"))] == [
        "has /etc/consul.d/shop.json that provisioning has not made: remove it"]
    assert not [*fitness.with_consul(other, fleet, host_of(fleet, "web1"))]


def test_who_does_not_answer_needs_no_second_provisioning(capsys, by_consul):
    report.notes(sys.stdout, by_consul, {}, Out((), ("web2",)), check=False)
    assert capsys.readouterr().out == "web2: its web does not answer yet, so balancers send it nobody: make deploy\n"


# ---- what a balancer makes of Consul's answers ----

def test_what_consul_tells_of_a_host():
    """Its own address before its machine's, and how it is."""
    assert web_of(told()) == Web("10.0.0.11:80", "web1", "passing")
    assert web_of(told("", 8080)).address == "10.0.0.99:8080" and web_of(told("fd00::1")).address == "[fd00::1]:80"
    assert web_of(told(status="critical")).state == "failing" and web_of(told(status="warning")).state == "passing"
    assert web_of(told(Checks=[AGENT | {"Status": "critical"}])).state == "failing"
    assert web_of(told(Checks=[AGENT])).state == "failing", "its machine is up, and nobody has asked it yet"
    for check in ("_service_maintenance:shop", "_node_maintenance"):
        assert web_of(told(Checks=[AGENT, {"CheckID": check, "Status": "critical"}])).state == "resting"
    unnamed = told()
    unnamed["Service"]["Meta"] = None
    assert web_of(unnamed).name == "node"


@pytest.mark.parametrize("entry", [
    told("10.0.0.1; } server evil.example"), told("evil.example"), told("127.0.0.1"), told("::1"), told("0.0.0.0"),
    told("169.254.169.254"), told("224.0.0.1"), told("fe80::1%eth0"),
    told("2001:db8::1%]:80; x;"), told("::ffff:127.0.0.1"), told("::ffff:169.254.169.254"), told(port=0),
    told(port=70000), told(port="80;"), told(port=True), told(name="web1\nserver 192.0.2.1;"), told(name="a b"),
    told(name=7), told(name=""), told(address=7), {}, None, [], told(Checks=None),
    told(Node={"Node": "", "Address": ""}, Service={"Port": 80})])
def test_nothing_but_a_host_gets_into_nginx_s_files(entry, capsys):
    """Whoever may register a service writes none of our directives, and turns nobody else out."""
    hosts = [*consul_hosts.valid([entry, told("10.0.0.12", name="web2")])]
    assert [host for host in hosts if host.name != "node"] == [Web("10.0.0.12:80", "web2")]
    assert len(hosts) == 2 or "is left out" in capsys.readouterr().out


A, B, C, D = (Web(f"10.0.0.{number}:80", f"web{number}") for number in range(1, 5))


def failing(web):
    return Web(web.address, web.name, "failing")


def test_who_is_known():
    """A new host waits until it passes; a known one stays while Consul has it; the last are never forgotten."""
    assert merged([A], [A, failing(B)]) == [A] and merged([A], [B, A]) == [A, B]
    assert merged([A, B], [A, failing(B)]) == [A, failing(B)] and merged([A, B], [A]) == [A]
    assert merged([A, B], []) == merged([A, B], [failing(C)]) == [A, B]
    assert merged([], [A, A]) == [A]


def test_agents_that_are_started_anew_take_nobody_s_visitors():
    """Few that pass are not all there is: who is missing is kept, and gets visitors as when checks are wrong."""
    gone = [Web(web.address, web.name, "gone") for web in (B, C, D)]
    for first in (A, failing(A)):
        known = merged([A, B, C, D], [first])
        assert known == [first, *gone] and in_use(known, ()) == known
    assert merged([A, *gone], [A, B]) == [A, B] and parsed(listed([A, *gone])) == [A, *gone]


def test_who_gets_visitors():
    """Those that pass, unless they are less than half: then all, but who is drained or rests."""
    assert in_use([A, failing(B)], ()) == [A] and in_use([A, B], ["web2"]) == [A]
    down = [failing(web) for web in (A, B, C, D)]
    assert in_use([A, B, *down[2:]], ()) == [A, B] and in_use([A, *down[1:]], ()) == [A, *down[1:]]
    assert in_use(down, ["web1"]) == down[1:]
    assert in_use([Web("10.0.0.9:80", "web9", "resting"), *down[:2]], ()) == down[:2]


def test_an_outage_turns_nobody_out():
    """Checks fail one after the other, as when what all share is down: those behind do not take all visitors."""
    known = [A, B, C, D]
    for number in range(1, 5):
        known = merged(known, [failing(web) if web in (A, B, C, D)[:number] else web for web in (A, B, C, D)])
        assert len(in_use(known, ())) == (3, 2, 4, 4)[number - 1]


def test_the_list_is_read_as_it_was_written():
    """Who gets none is down, and nobody is left out of the list; one with nobody is none."""
    webs = [A, failing(B), Web("[fd00::1]:80", "a.b-c", "resting")]
    assert parsed(listed(webs)) == webs
    assert [" down;" in line for line in listed(webs).splitlines()] == [False, True, True]
    assert listed([A, B], ["web1", "web2"]) == listed([]) == ""


@pytest.fixture
def balancer(tmp_path, monkeypatch):
    """A folder that stands for /etc/nginx with A and B in the list; `reloads` counts, `refuses` makes them fail."""
    class Balancer:
        path, folder, reloads, refuses = tmp_path / "shop-balancer/hosts.conf", tmp_path, 0, False

        def reload(self):
            self.reloads += 1
            if self.refuses:
                raise subprocess.CalledProcessError(1, ["systemctl", "reload"])
    here = Balancer()
    here.path.parent.mkdir()
    here.path.write_text(listed([A, B]))
    monkeypatch.setattr(consul_hosts, "NGINX", str(tmp_path))
    monkeypatch.setattr(consul_hosts, "reload", here.reload)
    return here


def test_nginx_reloads_where_the_list_differs_for_it(balancer):
    """Not for a state that changes nothing."""
    consul_hosts.update("shop", [A, B])
    assert balancer.reloads == 0
    consul_hosts.update("shop", [A, failing(B)])
    assert balancer.reloads == 1 and parsed(balancer.path.read_text()) == [A, failing(B)]
    consul_hosts.update("shop", [failing(A), failing(B)])
    consul_hosts.update("shop", [failing(A), failing(B)])
    assert balancer.reloads == 2
    consul_hosts.update("shop", [])
    assert balancer.reloads == 2 and parsed(balancer.path.read_text()) == [failing(A), failing(B)]


def test_a_drain_needs_no_consul(balancer, capsys):
    """Nor is the last one drained."""
    (balancer.path.parent / "drained").write_text("web1\n")
    assert consul_hosts.main(["shop", "again"]) == 0
    assert balancer.reloads == 1 and "10.0.0.1:80 max_fails=2 fail_timeout=10s down;" in balancer.path.read_text()
    (balancer.path.parent / "drained").write_text("web1\nweb2\n")
    assert consul_hosts.main(["shop", "again"]) == 1 and balancer.reloads == 1
    assert "nobody would be left for visitors" in capsys.readouterr().err


def test_a_list_that_was_lost_is_written_anew(balancer):
    """Where the balancer's site is on."""
    (balancer.folder / "sites-enabled").mkdir()
    (balancer.folder / "sites-enabled/shop-balancer").symlink_to("nowhere")
    for lose in (balancer.path.unlink, lambda: balancer.path.write_text("")):
        lose()
        consul_hosts.update("shop", [A, B])
        assert parsed(balancer.path.read_text()) == [A, B]


def test_what_nginx_refuses_is_taken_back(balancer, capsys):
    """And tried again when Consul is asked the next time."""
    balancer.refuses = True
    before = balancer.path.read_text()
    (balancer.path.parent / "drained").write_text("web1\n")
    assert consul_hosts.main(["shop", "again"]) == 1 and "reload" in capsys.readouterr().err
    assert balancer.path.read_text() == before
    balancer.refuses = False
    consul_hosts.update("shop", [A, B])
    assert " down;" in balancer.path.read_text()


def test_a_balancer_that_was_taken_away_gets_no_list(balancer):
    balancer.path.unlink()
    consul_hosts.update("shop", [A, C])
    assert not balancer.path.exists() and balancer.reloads == 0
    assert consul_hosts.main([]) == consul_hosts.main(["shop", "now"]) == 64


@pytest.fixture
def agent(monkeypatch):
    """An agent that gives `answers` in turn, (status, index, body); `asked`: path and token of each question."""
    class Agent(BaseHTTPRequestHandler):
        answers, asked = [], []

        def do_GET(self):
            self.asked.append((self.path, self.headers["X-Consul-Token"]))
            status, index, body = self.answers.pop(0)
            self.send_response(status)
            self.send_header("X-Consul-Index", str(index))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words):
            """Nothing."""
    with HTTPServer(("127.0.0.1", 0), Agent) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        monkeypatch.setenv("CONSUL_HTTP_ADDR", f"127.0.0.1:{listener.server_port}")
        monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
        yield Agent
        listener.shutdown()


class Enough(Exception):
    """The loop has gone round often enough."""


def test_whatever_consul_answers_the_list_is_whole(agent, balancer, monkeypatch, capsys):
    """Each trouble is told once; after it, and where the index goes back, Consul is asked from the start."""
    monkeypatch.setattr(consul_hosts.time, "sleep", lambda seconds: agent.answers or (_ for _ in ()).throw(Enough))
    both = json.dumps([told("10.0.0.1", name="web1"), told("10.0.0.2", name="web2", status="critical")])
    agent.answers += [(200, 7, both), (500, 0, "No cluster leader"), (500, 0, ""), (200, 5, "{"), (200, 5, '{"a": 1}'),
                      (200, 8, "[]"), (200, 9, both), (200, 3, both), (200, 4, "7")]
    with pytest.raises(Enough):
        consul_hosts.follow("shop")
    assert parsed(balancer.path.read_text()) == [A, failing(B)] and balancer.reloads == 1
    asked = [path.partition("index=")[2].partition("&")[0] for path, token in agent.asked if token == "secret"]
    assert asked == ["0", "7", "0", "0", "0", "5", "8", "9", "0"]
    said = capsys.readouterr().out
    assert said.count("HTTP Error 500") == 1 and said.count("Consul knows none of shop") >= 1
