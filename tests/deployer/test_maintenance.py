"""The maintenance page: that somebody turns on, and that of a swap, which ends with it."""

import asyncio
import os
import re
import signal
import subprocess

import pytest

from proc import put
from slipway.deploy import __main__
from slipway.deploy.commands import maintenance
from slipway.deploy.errors import DeployError, Refused


@pytest.fixture
def page(stub, monkeypatch):
    """The file that turns the maintenance page on."""
    for name in ("SCRIPT", "UNTIL_END"):
        text = getattr(maintenance, name).replace("/etc/nginx", f"{stub}/nginx").replace("=/run/", f"={stub}/run/")
        monkeypatch.setattr(maintenance, name, text)
    put(stub / "nginx/sites-available/shop", 'map "" $shop_closed {}')
    (stub / "run").mkdir()
    (stub / "nginx/shop").mkdir()
    return stub / "nginx/shop/maintenance"


def test_maintenance(fleet, page, capsys):
    """Web hosts and balancers get the file, which tells who turned it on first. A host without our nginx hides none."""
    page.write_text("on by ann from laptop\n")
    for action, said in (("on", "on by ann from laptop"), ("status", "on by ann from laptop"), ("off", "off")):
        with pytest.raises(DeployError, match=r"^on front: run slipway provision first$"):
            asyncio.run(maintenance.handle(fleet, __main__.parse(["maintenance", action])))
        assert sorted(capsys.readouterr().out.splitlines()) == [f"web1: {said}", f"web2: {said}"]
    assert not page.exists()
    asyncio.run(maintenance.handle(fleet, __main__.parse(["--hosts", "web1", "maintenance", "on"])))
    assert re.match("web1: on by .* since ", capsys.readouterr().out) and page.exists()


@pytest.mark.parametrize("action", ["on", "off", "status"])
def test_maintenance_of_hosts_without_visitors(fleet, action):
    """It is refused: to say nothing would say that it is done."""
    with pytest.raises(Refused, match=r"^none of these hosts answers visitors: name web hosts or balancers$"):
        asyncio.run(maintenance.handle(fleet, __main__.parse(["--hosts", "work", "maintenance", action])))


@pytest.mark.parametrize("action", ["on", "off"])
def test_maintenance_on_a_disk_that_takes_no_change(fleet, page, action):
    """The command fails, and the site is as it was."""
    if action == "off":
        page.mkdir()  # which rm refuses
    else:
        page.with_suffix(".new").symlink_to("/dev/full")
    with pytest.raises(DeployError, match=r"on web1: (rm: cannot remove|sh: .*: (I/O error|No space))"):
        asyncio.run(maintenance.handle(fleet, __main__.parse(["--hosts", "web1", "maintenance", action])))
    assert page.exists() == (action == "off")


def test_the_page_of_a_swap_ends_with_it(fleet, stub, page):
    """A swap that fails ends it, too. A page that somebody turned on, before the swap or meanwhile, stays."""

    async def swap(meanwhile):
        async with maintenance.page_meanwhile(fleet, fleet.chosen("web1")):
            assert page.exists()
            await meanwhile()

    async def nothing():
        pass

    async def fail():
        raise DeployError("the disk is full")

    async def turn_on():
        assert "on by " in (await maintenance.switch_page(fleet, fleet.chosen("web1"), "on"))["web1"]

    asyncio.run(swap(nothing))
    assert not os.path.lexists(page) and not [*(stub / "run").iterdir()]
    with pytest.raises(DeployError, match="the disk is full"):
        asyncio.run(swap(fail))
    assert not os.path.lexists(page)
    for meanwhile in (turn_on, nothing):
        asyncio.run(swap(meanwhile))
        assert page.exists()


def test_a_swap_does_not_begin_without_its_page(fleet, page):
    (page.parents[1] / "sites-available/shop").unlink()

    async def swap():
        async with maintenance.page_meanwhile(fleet, fleet.chosen("web1")):
            raise AssertionError("it began")

    with pytest.raises(DeployError, match=r"^on web1: run slipway provision first$"):
        asyncio.run(swap())


@pytest.mark.parametrize("end", ["the deployer is killed", "its network is gone", "TERM", "HUP"])
def test_the_page_of_a_swap_outlives_no_deployer(page, end):
    """A closed laptop in the middle of a restore kept the site closed until somebody typed maintenance off."""
    script = maintenance.UNTIL_END.replace("-t 60", "-t 1")
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", "shop", "on by ann"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"on\n" and page.exists() and page.is_symlink()
        if end == "the deployer is killed":
            process.stdin.close()
        elif end in ("TERM", "HUP"):
            process.send_signal(getattr(signal, f"SIG{end}"))
        process.wait(10)
    assert not os.path.lexists(page)


def test_a_power_cut_in_a_swap_leaves_no_page(fleet, stub, page):
    """The file lies in /run, which a reboot empties. A later page is turned on as ever."""
    page.symlink_to(stub / "run/shop.maintenance")
    assert not page.exists()
    asyncio.run(maintenance.handle(fleet, __main__.parse(["--hosts", "web1", "maintenance", "on"])))
    assert page.exists() and not page.is_symlink()
