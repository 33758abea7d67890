"""A server's files, units and nginx sites: they follow from the fleet, so tests compare them without a server."""

import re
import shlex
from dataclasses import replace

import pytest

from deployer.conftest import fleet_of
from deployer.simulated import OWN, Simulated
from slipway.deploy.agent import disk, roles, serve
from slipway.deploy.agent.host import Host
from slipway.deploy.server import files as server
from slipway.deploy.server import site
from slipway.deploy.server.files import process_unit


def host_of(fleet, name):
    return next(host for host in fleet.hosts if host.name == name)


def files(fleet, name):
    """Return path → content of every file on the host, nginx's included."""
    host = host_of(fleet, name)
    app = [*server.app_files(fleet, host), server.tmpfiles(fleet)] if host.roles else []
    return {file.path: file.content for file in (*app, *server.unit_files(fleet, host))} | {
        path: content for each in site.sites(fleet, host, True) for path, content in each.files.items()
    }


def test_the_unit_of_a_process(data):
    command = "manage alert 'a b' 5% $HOME \"it's\\\\\""
    fleet = fleet_of(
        data,
        {
            "process.alerts": {"command": command, "ports": ["25:2525"], "ready": "port 2525"},
            "hosts.work.roles": ["alerts"],
        },
    )
    lines = files(fleet, "work")["/etc/systemd/system/shop-alerts.service"].splitlines()
    assert (
        'ExecStart=/usr/local/bin/docker-runner --unit shop-alerts --slot alerts shop manage alert "a b" 5%%'
        ' $$HOME "it\'s\\\\"'
    ) in lines
    assert 'Environment="EXTRA=-e READY_FILE=/dev/shm/ready -p 25:2525"' in lines
    assert lines[-2:] == ["[X-Process]", "Ready=port 2525"]


TIMED = {"process.digest": {"command": "manage digest 5%", "schedule": "*-*-* 06:30"}}


def test_a_command_by_the_clock(data):
    """Deploys do not know it as a process. A daemon that gets a schedule is stopped."""
    fleet = fleet_of(data, {**TIMED, "hosts.work.roles": ["worker", "digest"]})
    work = host_of(fleet, "work")
    (service, text), (timer, schedule) = (unit for unit in files(fleet, "work").items() if "digest" in unit[0])
    assert "\nOnCalendar=*-*-* 06:30\n" in schedule and "\nPersistent=yes\n" in schedule
    assert "ExecStart=/usr/local/bin/docker-runner --unit shop-digest --once shop manage digest 5%%\n" in text
    assert ' -e NO_COMMAND=127"\n' in text
    assert "|| exec timeout -k 5 60 /usr/local/bin/docker-runner shop manage" in text, (
        "if the database hangs there, the command must not run once more"
    )
    assert "\nRestart=on-abnormal\n" in text.rpartition("Restart=always")[2]
    assert roles.processes_in("shop", {"shop-digest.service": text}) == {} and "digest" not in fleet.processes
    assert not {service, timer} & {*server.stale_files(fleet, work, ["digest"])}
    assert server.stale_units(fleet, work, ["shop-digest.service", "shop-digest.timer", "shop-old.timer"]) == [
        "shop-digest.service",
        "shop-old.timer",
    ]


def test_what_processes_leave(data):
    fleet = fleet_of(
        data, {"process.alerts": {"command": "x", "overlap": True}, "hosts.work.roles": ["worker", "alerts"]}
    )
    stale = server.stale_files(fleet, host_of(fleet, "work"), ["worker@", "alerts", "gone@", "beat"])
    names = [path.rpartition("/")[2] for path in stale]
    assert names == [
        "shop-alerts.service",
        "shop-alerts.timer",
        "shop-beat.service",
        "shop-beat.timer",
        "shop-gone@.service",
        "shop-web@.service",
        "alerts.env",
        "alerts.tag",
        "beat.env",
        "beat.tag",
        "stamp-shop-alerts.timer",
        "stamp-shop-beat.timer",
        "shop.services",
    ]
    units = ["shop-worker@a.service", "shop-alerts@a.service", "shop-alerts.service", "shop-gone@b.service"]
    timers = ["docker-backup-base@shop.timer"]  # of backups, which go on
    assert server.stale_units(fleet, host_of(fleet, "work"), units + timers) == units[2:]
    old = ["docker-backup-old.timer", "docker-backup-gone@a.service"]  # of an app with such a name
    assert server.stale_units(replace(fleet, app="docker-backup"), host_of(fleet, "work"), old) == old


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, ["OPTS="]),
        ({"memory": "off"}, ["OPTS=", "MEMORY=0"]),
        ({"memory": "2g"}, ["OPTS=", "MEMORY=2g"]),
        ({"static": {"publish": "s3://files/shop"}}, ["OPTS=", "STATIC=s3://files/shop"]),
        (
            {"media": "local", "opts": "-e 'A=it is'", "hosts": {"web1": {"roles": ["web"], "opts": "--memory=2g"}}},
            ["OPTS=-e 'A=it is' --memory=2g -v /var/www/shop/media:/data/media"],
        ),
    ],
)
def test_what_docker_runner_gets(data, changes, words):
    text = files(fleet_of(data, changes), "web1")["/etc/default/shop"]
    assert shlex.split(text, comments=True) == ["IMAGE=registry.example/shop", *words]


@pytest.mark.parametrize(
    "name, missing, names",
    [
        ("web1", {"dockerd", "docker", "nginx", "logrotate"}, ["logrotate", "docker.io", "nginx"]),
        ("work", {"dockerd", "nginx"}, ["docker.io"]),
        ("front", {"dockerd", "nginx"}, ["nginx"]),
    ],
)
def test_packages_are_what_commands_are_missing(fleet, name, missing, names):
    assert server.packages(fleet, host_of(fleet, name), missing) == names


OURS, FRONT = (
    {
        **{key: f"/etc/nginx/{name}/{key}.conf" for key in ("app", "common", "public")},
        "site": f"/etc/nginx/sites-available/{name}",
        "checks": f"/etc/nginx/{name}/checks.json",
    }
    for name in ("shop", "shop-balancer")
)
ELSEWHERE = {"site.tls": "elsewhere", "site.proxies": ["192.0.2.0/24"]}
FILES = {"site.tls": "files", "site.certificate": "/etc/ssl/shop.pem", "site.key": "/etc/ssl/shop.key"}
WRITTEN = [  # changes of the toml, a host, one of its files → texts that this file has, texts that it lacks
    ({}, "web1", OURS["public"], ["server_name shop.example www.shop.example;"], [" default_server;"]),
    # A site without names gets visitors by any name.
    ({"site.names": []}, "web1", OURS["public"], ["listen 80 default_server;", "listen [::]:80 default_server;"], []),
    (
        {"site.names": [], **FILES},
        "front",
        FRONT["public"],
        [
            "listen 80 default_server;",
            "listen [::]:80 default_s",
            "listen 443 ssl http2 default_server;",
            "listen [::]:443 ssl http2 default_server;",
        ],
        [],
    ),
    # Only the balancer is trusted about a visitor's address.
    ({}, "web1", OURS["common"], ["set_real_ip_from 10.0.0.10;"], []),
    ({}, "web1", OURS["site"], ["10.0.0.10 balancer;"], []),
    # Downloads through the app are limited, on web hosts and on the balancer.
    ({}, "web1", OURS["app"], ["proxy_max_temp_file_size 32m;", "limit_conn shop_uploads 128;"], []),
    ({}, "front", FRONT["app"], ["location ^~ /media/ { proxy_max_temp_file_size 0; "], []),
    # A balancer checks every web host at its internal address. Proxies before it are named only in its files.
    ({}, "front", FRONT["checks"], ['"web1": "10.0.0.11:80"', '"web2": "10.0.0.12:8080"', '"shop.example"'], []),
    (ELSEWHERE, "front", FRONT["common"], ["set_real_ip_from 192.0.2.0/24;\n"], ["10.0.0.10"]),
    (ELSEWHERE, "front", FRONT["site"], ["  private;\n    192.0.2.0/24 trusted;\n}"], ["10.0.0.10"]),
    # TLS ends at the balancer if there is one; the hosts behind it report https to the app.
    (FILES, "front", FRONT["public"], ["ssl_certificate /etc/ssl/shop.pem;"], []),
    (FILES, "web1", OURS["public"], [], ["ssl"]),
    (FILES, "web1", OURS["site"], ["~^private:     https;"], []),
    (
        {**FILES, "hosts": {"web1": {"roles": ["web"]}}},
        "web1",
        OURS["public"],
        ["ssl_certificate /etc/ssl/shop.pem;"],
        [],
    ),
]


@pytest.mark.parametrize("changes, name, path, existing, absent", WRITTEN)
def test_what_nginx_is_told(data, changes, name, path, existing, absent):
    text = files(fleet_of(data, changes), name)[path]
    assert [words for words in existing if words not in text] == [words for words in absent if words in text] == []


def test_a_balancer_sends_nobody_to_who_is_out(fleet):
    """Hosts that get no visitors stay in nginx's list, so that they keep the requests that they have."""
    out = site.Out(("web2",))
    (balancer,) = site.sites(fleet, host_of(fleet, "front"), True, out)
    text = balancer.first["/etc/nginx/shop-balancer/hosts.conf"]
    assert "server 10.0.0.11:80 max_fails" in text and re.search(r"server 10.0.0.12:8080 .* down;", text)
    drained = "/etc/nginx/shop-balancer/drained"
    assert balancer.files[drained] == "web2\n" and site.hosts_site(fleet, out).files == {drained: "web2\n"}
    assert site.hosts_site(fleet, site.Out()) == site.Site("shop-balancer", absent=(drained,))


def test_somebody_is_left_for_visitors(fleet):
    assert site.nobody_left(fleet, site.Out(("web1",))) == site.nobody_left(fleet, site.Out((), ("web2",))) == ""
    wrong = "would have no host for visitors: run slipway drain --end web1"
    assert site.nobody_left(fleet, site.Out(("web1",), ("web2",))) == wrong
    assert site.nobody_left(fleet, site.Out(("web2", "web1"))) == wrong
    for before, away, after in (
        (["web2", "old"], True, ["web2"]),
        (["web1"], True, ["web1", "web2"]),
        (["web1", "web2"], False, ["web1"]),
    ):
        assert site.drained(fleet, before, "web2", away) == tuple(after)
    assert site.silent({"web1": True, "web2": False}) == ("web2",)
    assert site.silent({"web1": False, "web2": False}) == site.silent({}) == ()


@pytest.mark.parametrize("existing, tls", [(False, False), (True, True)])
def test_tls_waits_for_its_certificate(data, existing, tls):
    fleet = fleet_of(data, {"site.tls": "certbot", "site.email": "ops@shop.example"})
    (balancer,) = site.sites(fleet, host_of(fleet, "front"), existing)
    public = balancer.files["/etc/nginx/shop-balancer/public.conf"]
    assert ("ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem;" in public) == tls
    assert site.ends_tls(fleet, host_of(fleet, "front")) and not site.ends_tls(fleet, host_of(fleet, "web1"))


def test_units_of_this_app_that_run_containers():
    files = {
        unit.path.rpartition("/")[2]: unit.content
        for unit in (process_unit("shop", process) for process in (*reversed(OWN), *roles.BUILT_IN.values()))
    }
    others = {
        "shop-backup.service": "ExecStart=/bin/true\n",
        "shop-b-web.service": files["shop-beat.service"],
        "blog-beat.service": files["shop-beat.service"],
        "shop-beat.timer": "",
    }
    found = roles.processes_in("shop", files | others)
    assert list(found) == ["web", "worker", "beat", "alerts", "mail"]
    assert found["web"] is roles.BUILT_IN["web"]
    assert [(one.name, one.overlap, one.ready) for one in (found["alerts"], found["mail"])] == [
        ("alerts", False, "seconds 5"),
        ("mail", True, "file"),
    ]


def test_each_question_before_the_lock_reads_them_anew(tmp_path, monkeypatch):
    host, said = Simulated(tmp_path / "root"), []

    def lines(kind):
        yield {"id": 1, "do": "facts", "args": {}}
        unit = process_unit(host.app, OWN[0])
        disk.write(host.root + unit.path, unit.content)
        yield {"id": 2, "do": "facts", "args": {}}

    monkeypatch.setattr(serve, "Host", lambda app: Host(app, host.root))
    monkeypatch.setattr(serve, "lines", lines)
    monkeypatch.setattr(serve, "say", said.append)
    monkeypatch.setitem(serve.READERS, "facts", lambda host: list(host.processes))
    serve.read("shop", "/agent")
    assert said == [{"id": 1, "ok": ["web", "worker", "beat"]}, {"id": 2, "ok": ["web", "worker", "beat", "alerts"]}]
