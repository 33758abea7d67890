"""A database and the WAL of its backups on a small disk, which gets full as the backups' place is away."""

from e2e import repository
from proc import wait_until

SMALL = 1024  # megabytes of a disk
# The database and the WAL of its backups move to that disk. As it is memory, it would count as the receiver's.
DISK = """
set -e
systemctl stop docker-service@orders-wal docker-service@orders-postgres
sed -i 's/--memory[a-z-]*=128m//g' /etc/default/orders-wal
mkdir /small && mount -t tmpfs -o size=1024m small /small
data=$(docker volume inspect --format '{{.Mountpoint}}' orders-postgres)
for folder in "$data" /var/backups/orders; do
    new=/small/${folder##*/}
    mkdir "$new"
    cp -a "$folder/." "$new"
    mount --bind "$new" "$folder"
done
systemctl start docker-service@orders-postgres docker-service@orders-wal
"""
RECEIVED = (
    "SELECT write_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication WHERE application_name = 'pg_receivewal'"
)


def free(shop):
    """Return how many megabytes of the disk are free."""
    return int(shop.data.run("df --output=avail -m /small | tail -n 1"))


def gets_full(shop):
    """As the place is away, WAL is kept until a tenth of the disk is free. Then the site is more important."""
    shop.data.run(DISK, timeout=120)
    repository.take_away(shop.nas)
    while free(shop) > SMALL // 10 - 10:
        shop.sql("INSERT INTO orders_order DEFAULT VALUES; SELECT pg_switch_wal();" * 4 + "CHECKPOINT")
        wait_until(lambda: "t" in shop.sql(RECEIVED), 60, "the WAL is received")
    wait_until(lambda: free(shop) > SMALL // 5, 2 * shop.settings["backup.wal"], "the WAL is given up")
    shop.serves()
    assert "backup: wal: " in shop.deploy("status").stdout
    repository.bring_back(shop.nas)
    shop.sends()
