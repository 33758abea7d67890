"""How many connections Postgres allows: room for some more hosts, as another number costs a restart."""

import subprocess

import pytest

from deployer.conftest import fleet_of
from deployer.recipes import Plan
from deployer.test_services import DB, MORE_HOSTS, words_of
from slipway.deploy.agent.provisioned import digest_of
from slipway.deploy.rollout import preflight
from slipway.deploy.server import services


@pytest.mark.parametrize(
    ("webs", "before", "allowed"),
    [(1, 0, 500), (3, 0, 500), (5, 0, 500), (6, 0, 1000), (12, 500, 2000), (2, 200, 200), (3, 200, 500), (1, 900, 900)],
)
def test_a_few_more_hosts_need_no_restart(data, webs, before, allowed):
    """Postgres begins with room for some, and keeps the limit that it has while that is enough: another one, in its
    file, needs a restart."""
    hosts = {f"web{at}": {"roles": ["web"], "internal": f"10.0.1.{at}"} for at in range(webs)}
    fleet = fleet_of(data, {"hosts": {**hosts, "db1": DB}})
    there = "f|root|root|644||/etc/default/shop-postgres\n" if before else ""
    answers = {"max_connections": f"{before}\n"}
    plan = Plan(fleet, "db1", there=there, answers=answers)
    text, *_ = plan.files["/etc/default/shop-postgres"]
    assert f"max_connections={allowed} " in text and "max_connections" not in plan.files["/etc/default/shop-redis"][0]
    (sed,) = (script for script in plan.scripts if "max_connections" in script) if before else ("",)
    words = ["sh", "-c", sed.replace("/etc/default/shop-postgres", "")]  # without a path it reads stdin
    said = subprocess.run(words, input=text, check=True, capture_output=True, text=True).stdout
    assert said == (f"{allowed}\n" if before else "")


def test_more_connections_than_before_are_no_drift(data):
    """Not for who compares; any other change of the file is one."""
    fleet = fleet_of(data, {"hosts": MORE_HOSTS})
    postgres, path = fleet.services[0], "/etc/default/shop-postgres"
    expected = preflight.expected_files(fleet, postgres.host)[path].split(" ")[2]
    text = services.description(fleet, postgres, "10.0.0.20", 200).content
    assert digest_of(text.encode()) == expected != digest_of(text.replace("10.0.0.20", "0.0.0.0").encode())


def test_connections_by_the_sum_of_the_processes(data):
    hosts = {f"web{number}": {"roles": ["web", "worker"]} for number in range(1, 5)}
    fleet = fleet_of(data, {"hosts": {**hosts, "db1": DB}, "media": "bucket"})
    assert services.connections_needed(fleet) == 4 * (90 + 8) + 20
    assert "max_connections=500" in words_of(services.description(fleet, fleet.services[0], "10.0.0.2"))
