"""A database on a small disk, which gets full as the backups' place is away."""

from e2e import repository
from proc import wait_until

SMALL = 1024  # megabytes of a disk
# The database moves to that disk.
DISK = """
set -e
systemctl stop docker-service@orders-postgres
mkdir /small && mount -t tmpfs -o size=1024m small /small
data=$(docker volume inspect --format '{{.Mountpoint}}' orders-postgres)
cp -a "$data" /small/data
mount --bind /small/data "$data"
systemctl start docker-service@orders-postgres
"""
SEGMENTS = "INSERT INTO orders_order DEFAULT VALUES; SELECT pg_switch_wal();" * 8  # of 16 MB


def free(shop):
    """Return how many megabytes of the disk are free."""
    return int(shop.data.run("df --output=avail -m /small | tail -n 1"))


def gets_full(shop):
    """As the place is away, WAL waits for it, in a part of the disk. Then it is dropped, as the site is more important.
    Once the place is back, what is lost is told, and a new base backup is made."""
    shop.data.run(DISK, timeout=120)
    first = shop.state()["base"]["label"]
    repository.take_away(shop.nas)
    for _ in range(SMALL // 128):
        shop.sql(SEGMENTS)
        wait_until(lambda: shop.sql("CHECKPOINT") == [] and free(shop) > SMALL // 3, 300, "the disk is not full")
    shop.serves()
    assert "backup: wal: " in shop.deploy("status").stdout
    repository.bring_back(shop.nas)
    wait_until(lambda: shop.state()["base"].get("label", first) != first, 600, "a new base backup")
    shop.sends()
