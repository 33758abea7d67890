"""Services that run: what the agent and the commands tell of them, and upgrades."""

import argparse
import asyncio
import os
import time
from dataclasses import replace

import pytest

from deployer.agents import Agent, agents, fine
from deployer.conftest import fleet_of
from deployer.test_services import MORE_HOSTS
from proc import executable
from slipway.deploy import config
from slipway.deploy.agent import errors, roles, site
from slipway.deploy.agent import services as agent
from slipway.deploy.agent.host import Host
from slipway.deploy.commands import dbshell, logs, upgrade
from slipway.deploy.errors import Refused
from slipway.deploy.hosts import Hosts
from slipway.deploy.provisioning import services as asked
from slipway.deploy.screen import text_tables
from slipway.deploy.server import services
from slipway.deploy.service_status import problems
from slipway.deploy.ssh.child import Done


@pytest.fixture
def apart(data):
    return fleet_of(data, {"hosts": MORE_HOSTS})


def test_the_address_of_a_service_replaces_a_release_s_setting(tmp_path):
    host = Host("shop", str(tmp_path))
    (tmp_path / "etc/default").mkdir(parents=True)
    assert site.setting(host, b"DATABASE_URL=sqlite:////data/x\n", "DATABASE_URL") == "sqlite:////data/x"
    (tmp_path / "etc/default/shop.services").write_text("DATABASE_URL=postgres://x\n")
    assert site.setting(host, b"DATABASE_URL=sqlite:////data/x\n", "DATABASE_URL") == "postgres://x"


SAYS = {
    "postgres": ("17.5 (Debian 17.5-1.pgdg120+1) 9621 kB 8\n", "17.5", "9621 kB", "8"),
    "redis": ("redis_version:7.2.4\r\nconnected_clients:3\r\nused_memory_human:1.05M\r\n", "7.2.4", "1.05M", "3"),
}
VALKEY = SAYS["redis"][0].replace("7.2.4\r\n", "7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n")


@pytest.mark.parametrize(
    ("kind", "output", "values"),
    [*((kind, output, values) for kind, (output, *values) in SAYS.items()), ("redis", VALKEY, ["8.1.1", "1.05M", "3"])],
)
def test_what_services_say(kind, output, values, tmp_path, monkeypatch):
    host = Host("shop", str(tmp_path))
    (tmp_path / "etc/default").mkdir(parents=True)
    for end in ("", ".image"):
        (tmp_path / f"etc/default/shop-{kind}{end}").write_text("")
    unit, state = f"docker-service@shop-{kind}.service", {"ActiveState": "active"}
    state["ActiveEnterTimestampMonotonic"] = str(int((time.monotonic() + 5) * 1e6))
    monkeypatch.setattr(Host, "states", lambda host, *units: {unit: state})
    monkeypatch.setattr("slipway.deploy.agent.host.ENVIRONMENT", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    executable(tmp_path / "docker", f"#!/bin/sh\nprintf '%s' '{output}'\n")
    facts = agent.collect(host)["services"]
    assert facts.keys() == {kind} and [*problems("shop", [kind], facts)] == []
    assert [facts[kind][key] for key in ("version", "size", "connections")] == values
    [row] = text_tables.service_rows("db1", facts)
    assert row[:5] == ("db1", kind, values[0], "-", f"active, {values[1]}, {values[2]} connections")
    state["ActiveEnterTimestampMonotonic"] = str(int((time.monotonic() - 5) * 1e6))
    facts = agent.collect(host)["services"]
    [outdated] = problems("shop", [kind], facts)
    assert outdated.endswith(f"run systemctl restart {unit}"), "its files are newer"
    executable(tmp_path / "docker", "#!/bin/sh\nexit 1\n")
    facts = agent.collect(host)["services"]
    silent = f"{kind} does not answer, its unit is active: slipway logs --role {kind}"
    assert [*problems("shop", [kind], facts)] == [silent]
    assert [*problems("shop", [kind], {})] == [f"{kind} is not set up: run slipway provision"]


def test_status_asks_for_all_over_one_connection(data, capsys, monkeypatch):
    """A service whose role the host no longer has is not shown."""
    monkeypatch.setenv("COLUMNS", "100")
    site = {"tls": "files", "certificate": "/c", "key": "/k"}
    fleet = fleet_of(data, {"hosts": {"one": {"roles": ["web", "worker", "beat", "postgres"]}}, "site": site})
    facts = {
        "state": "active",
        "since": "Fri 2026-11-27 20:11:00 UTC",
        "version": "17.5",
        "size": "9 MB",
        "connections": "8",
        "outdated": False,
    }
    answers = fine(fleet)
    answers |= {"certificates": {"ends": {}, "now": 1.0}, "services": {"services": {"postgres": facts, "redis": facts}}}
    answers["facts"]["site"] = {"scheme": "https", "url": "https://shop.example"}
    opened, asked = [], []

    def agent(host):
        opened.append(host)
        return Agent(answers, asked=asked)

    with agents(agent):
        assert asyncio.run(Hosts(fleet).status(argparse.Namespace(hosts="", json=False))) == 0
    assert len(opened) == 1 and asked == ["facts", "certificates", "services"]
    shown = capsys.readouterr().out
    assert "one   postgres  17.5     -     active, 9 MB, 8 connections" in shown and "redis" not in shown


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('2026-11-27 UTC [7] FATAL:  password authentication failed for user "x"', True),
        ("2026-11-27 UTC [7] PANIC:  could not write to file", True),
        ("2026-11-27 UTC [7] ERROR:  deadlock detected", True),
        ("2026-11-27 UTC [7] FATAL:  the database system is starting up", False),
        ("2026-11-27 UTC [7] ERROR:  relation x does not exist", False),
        ("1:M 27 Nov 2026 # MISCONF Errors writing to the AOF file", True),
        ("1:M 27 Nov 2026 * Ready to accept connections", False),
    ],
)
def test_errors_of_services(line, message):
    assert len([*errors.errors_in_line(1.0, "postgres", line)]) == message


# ---- commands ----


def test_logs_of_a_service(apart):
    assert logs.names_in_journal(apart, "postgres") == ["shop-postgres"]
    assert "shop-postgres" not in logs.names_in_journal(apart, "")


def test_dbshell(apart, data):
    words = dbshell.psql_words(apart, tty=False)
    assert words[-8:] == ["-i", "shop-postgres", "sh", "-c", dbshell.PSQL, "sh", "shop", "/run/shop-postgres"]
    elsewhere = replace(apart, services=())
    with pytest.raises(Refused, match="no host has the role postgres"):
        dbshell.handle(elsewhere, argparse.Namespace()).send(None)


@pytest.mark.parametrize(
    ("code", "output", "typed", "said"),
    [
        (0, "17.5 17.5 same", "", "db1: postgres 17.5 is the newest postgres:17\n"),
        (0, "17.5 17.6 new", "n", "nothing is changed; without a terminal, agree by --yes"),
        (0, "17.5 17.6 new", "--yes", "db1: postgres 17.6, without an answer for 1.25 s\n"),
        (78, "", "--yes", "db1: docker-service: it has data of Postgres 16"),
    ],
)
def test_an_upgrade(apart, monkeypatch, capsys, code, output, typed, said):
    async def run(host, ssh, words, timeout):
        assert (host.name, words) == ("db1", ["docker-service", "newest", "shop-postgres"])
        return Done(code, output.encode(), b"" if output else b"docker-service: it has data of Postgres 16\n")

    async def restarted(fleet, service):
        return "1.25"

    monkeypatch.setattr(upgrade, "run", run)
    monkeypatch.setattr(upgrade, "upgrade", restarted)
    refused = ""
    try:
        asyncio.run(upgrade.handle(apart, argparse.Namespace(service="postgres", yes=typed == "--yes")))
    except Refused as error:
        refused = str(error)
    assert capsys.readouterr().out + refused == said


def test_every_kind_has_its_parts():
    assert {*config.SERVICE_DEFAULTS} == {*roles.SERVICES} == {*services.PORTS}
    assert {*asked.VARIABLES} == {*services.SETTINGS} == {*agent.ASK} == {*roles.SERVICES}
