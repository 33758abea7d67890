"""The visitors of each of two web hosts behind a balancer, counted in nginx's log."""

from proc import wait_until


def visits(shop, name):
    """Return the number of a web host's requests, without Consul's, the balancer's own and the deployer's."""
    ours = "Consul Health Check|slipway-deploy"
    return int(shop.fleet.hosts[name].run(f"grep -vcE '{ours}' /var/log/nginx/shop.access.log || [ $? = 1 ]"))


def has_visitors(shop, name):
    before = visits(shop, name)
    wait_until(lambda: visits(shop, name) > before + 20, 60, f"{name} has visitors")


def has_none(shop, name):
    """Return True if this host gets no request while the other one gets many."""
    before, other = visits(shop, name), {"web1": "web2", "web2": "web1"}[name]
    has_visitors(shop, other)
    return visits(shop, name) == before
