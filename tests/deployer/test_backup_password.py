"""Who makes the password of an app's backups."""

import asyncio

from deployer.conftest import fleet_of
from deployer.recipes import Plan
from slipway.deploy.provisioning import services as asked
from slipway.deploy.ssh.child import Done


def test_one_host_makes_the_password_of_all_backups(data, monkeypatch):
    """The first one that sends some; all others get it. With one of its own each would have a repository that no other
    can read. A check makes nothing."""
    hosts = {
        "web1": {"roles": ["web"], "internal": "10.0.0.11"},
        "db1": {"roles": ["postgres"], "internal": "10.0.0.20"},
    }
    fleet = fleet_of(data, {"hosts": hosts, "backup": {"to": "/mnt/nas/shop"}})
    made = []

    async def run(host, ssh, words, check):
        made.append((host.name, words[4], words[5]))
        return Done(0, f"RESTIC_PASSWORD={host.name}'s\n".encode(), b"")

    monkeypatch.setattr(asked.connection, "run", run)
    for check in (False, True):
        credentials = asyncio.run(asked.credentials(fleet, fleet.hosts, check))
        assert [host.name for host in fleet.backup_hosts] == ["db1", "web1"]
        assert credentials.repository == "RESTIC_PASSWORD=db1's\n"
        of_backups = [(name, variables) for name, path, variables in made if path == "/etc/default/shop.backup"]
        assert of_backups == [("db1", "" if check else "RESTIC_PASSWORD")], of_backups
        made.clear()
    monkeypatch.setattr("deployer.recipes.CREDENTIALS", credentials)
    for name in ("db1", "web1"):
        assert Plan(fleet, name).files["/etc/default/shop.backup"][0] == "RESTIC_PASSWORD=db1's\n"
