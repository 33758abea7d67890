"""Restores and swaps that end early: wherever it is, one database serves, and another run goes on."""

import json

from proc import passed, wait_until


def killed(shop, action, when, meanwhile=lambda shop: None):
    """Begin an action of docker-backup on the database's host, and kill it once a command there succeeds."""
    shop.data.run(f"systemd-run --quiet --collect --unit=killed docker-backup {action}")
    meanwhile(shop)
    # On the host itself: asked from here, a small restore may end before it is killed.
    kill = "systemctl kill --signal=KILL killed"
    shop.data.run(f"timeout 60 sh -c 'until {when}; do sleep 0.02; done; {kill}'", timeout=90)


def a_second_restore(shop):
    second = shop.deploy("restore", "--at", "latest", "--yes")
    assert second.returncode == 1 and "another restore of orders runs" in second.stderr, second.stderr


def restores_that_are_killed(shop):
    """Each leaves the living database, and the next one removes what is left."""
    before, folder = shop.numbers(), "/var/backups/orders"
    for step in (
        f"test -e {folder}/restored.json",
        "docker ps | grep -q orders-pgbackrest-restored",
        "docker ps | grep -q orders-restored",
    ):
        killed(shop, "beside orders latest", step)
        assert shop.numbers() == before
    passed(shop.deploy("restore", "--at", "latest", "--beside"))
    passed(shop.deploy("restore", "--discard"))
    assert shop.data.run("docker volume ls --quiet --filter name=orders-postgres").split() == ["orders-postgres"]


def swaps_that_are_killed(shop):
    """Another one goes on, and names the volume of before. Afterwards backups go on."""
    before, old = shop.numbers(), "orders-postgres"
    for step in (
        "! docker ps --all | grep -q orders-restored",
        "grep -q {} /etc/default/orders-postgres.image",
        "docker inspect orders-postgres | grep -q {}",
    ):
        passed(shop.deploy("restore", "--at", "latest", "--beside"))
        new = json.loads(shop.data.run("cat /var/backups/orders/restored.json"))["volume"]
        killed(shop, "swap orders", step.format(new))
        swapped = passed(shop.deploy("restore", "--swap", "--yes"))
        assert f"the data of before are in the volume {old}:" in swapped.stdout, swapped.stdout
        assert shop.numbers() == before
        shop.data.run(f"docker volume rm {old}")
        old = new
    wait_until(lambda: shop.succeeds("base"), 120, "a base backup of the swapped database")
    shop.serves()
    shop.sends()


def restores_that_end_early(shop):
    """A restore that is killed leaves the living database, and the next one removes what is left of it. One at a time.
    A database that does not start after the swap is swapped back."""
    before = shop.numbers()
    killed(shop, "beside orders latest", "docker ps | grep -q orders-restored", meanwhile=a_second_restore)
    shop.serves()
    passed(shop.deploy("restore", "--at", "latest", "--beside"))
    volumes = shop.data.run("docker volume ls --quiet --filter name=orders-postgres").split()
    assert len(volumes) == 2, volumes
    [restored] = {*volumes} - {"orders-postgres"}
    shop.data.run(f"rm $(docker volume inspect --format '{{{{.Mountpoint}}}}' {restored})/PG_VERSION")
    refused = shop.deploy("restore", "--swap", "--yes")
    assert refused.returncode == 1 and "so the old one serves on" in refused.stderr, refused.stderr
    shop.serves()
    assert shop.numbers()[: len(before)] == before
    passed(shop.deploy("restore", "--discard"))
    assert shop.data.run("docker volume ls --quiet --filter name=orders-postgres").split() == ["orders-postgres"]
