"""Test of today's commands under load, on servers that the version before provisioned and deployed to."""

import subprocess

import pytest

from e2e import byhand, checker
from e2e.rollouts import Shop
from proc import ROOT, run

BEFORE = "f4380ad5847fc44d3a12eff9d42dbe832fccd17f"  # the last landed commit, later the last release, of the deployer


@pytest.fixture
def shop(fleet, tmp_path):
    """Return the hosts as that version left them: v1 is live, and v0 is where a rollback goes."""
    if run(["git", "cat-file", "-e", BEFORE], cwd=ROOT).returncode:
        pytest.skip(f"{BEFORE} is not to be had in a clone without its history")
    fleet.reset()
    before = tmp_path / "before"
    before.mkdir()
    subprocess.run(f"git archive {BEFORE} slipway | tar -x -C '{before}'", shell=True, cwd=ROOT, check=True)
    shop = Shop(fleet, tmp_path)
    shop.checkout = before
    shop.provision()
    shop.stage()
    for tag in ("v0", "v1"):
        shop.bring(tag)
    shop.checkout = ROOT
    return shop


def test_no_visitor_notices(shop):
    """Today's commands provision and deploy under load: no request fails, provisioning restarts nothing, the old slot
    still retires, and status finds no problem. A rollback to the old version's release works, and so does the next
    deploy, which survives a boot."""
    with shop.load(rate=80) as load:
        before = [*map(byhand.started, shop.machines().values())]
        shop.provision()
        assert [*map(byhand.started, shop.machines().values())] == before
        shop.web[0].run("systemctl start --wait shop-retire")  # the old agent's work, beside today's agent
        shop.good("rollback")
        assert checker.tags(shop) == {"v0"}
        shop.bring("v2")
        checker.check(shop)
        status = shop.deploy("status")
        shop.good("rollback")
        assert checker.tags(shop) == {"v0"}
        shop.bring("v3")
    checker.check(shop)
    assert set(load.result.releases) == {"v0", "v1", "v2", "v3"}
    assert status.returncode == 0, status.stdout + status.stderr
    host = shop.web[0]
    host.power_cut()
    host.power_on()
    byhand.until_it_answers(host, "shop", '"v3"')
