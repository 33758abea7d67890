"""A swarm's host by itself: it goes over from slots to the proxy of the swarm. Operations, as in recipe.py."""

from pyinfra.operations import server

from ..config import Fleet

# Until nobody is connected to a slot, accepted or waiting, twice in a row. nginx may have looked at web.sock just
# before it named the proxy.
DRAIN = """
listens=00010000 quiet=0 left={seconds}0
while [ $quiet -lt 2 ] && [ $left -gt 0 ]; do
    sleep 0.1
    if awk -v path='^/run/{app}/[ab]/web[.]sock$' '$8 ~ path && $4 != "'$listens'" {{ exit 1 }}' /proc/net/unix
    then quiet=$((quiet + 1)); else quiet=0; fi
    left=$((left - 1))
done
systemctl stop {app}-retire.timer {app}-retire.service 2>/dev/null || :
"""
# What a slot ran is in /run; its folder is a mount of its own.
CLEAR = """
for folder in /run/{app}/a /run/{app}/b; do
    while mountpoint -q $folder; do umount -l $folder; done
    rm -rf $folder
done
rm -f /run/{app}/[a-z]*.tag /run/{app}/[a-z]*.env /run/{app}/[a-z]*.plan /run/{app}/*.back /run/{app}/attempt
"""


def go_over(app: str) -> None:
    """Give the swarm's proxy the visitors: one rename."""
    link = f"/run/{app}/web.sock"
    server.shell(name="give the swarm the visitors", commands=(
        f"ln -sfn proxy/web.sock {link}.new && mv -T {link}.new {link}"))


def drain(fleet: Fleet) -> None:
    """Wait until the slots have answered whom they had."""
    server.shell(name="drain the slots", _timeout=60,
                 commands=DRAIN.format(app=fleet.app, seconds=fleet.rollout["drain"]))


def clear(app: str) -> None:
    """Remove what slots leave in /run."""
    server.shell(name="clear the slots", commands=CLEAR.format(app=app))
