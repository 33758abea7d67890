"""Which of two web hosts behind a balancer has visitors, by its nginx's log."""

from proc import wait_until


def visits(shop, name):
    """How many requests a web host has had, but for those of Consul."""
    return int(shop.fleet.hosts[name].run("sed '/Consul Health Check/d' /var/log/nginx/shop.access.log | wc -l"))


def has_visitors(shop, name):
    before = visits(shop, name)
    wait_until(lambda: visits(shop, name) > before + 20, 30, f"{name} has visitors")


def has_none(shop, name):
    """While the other one has many."""
    before, other = visits(shop, name), {"web1": "web2", "web2": "web1"}[name]
    has_visitors(shop, other)
    return visits(shop, name) == before
