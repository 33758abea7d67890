"""Forms a swarm of an app's hosts, as docs/swarm.md does."""

from e2e.fleet import apps


def engine(fleet, **replicas):
    """Return the engine's settings for the app's file. `replicas`: how many containers each process has."""
    return {
        "engine.kind": "swarm",
        "engine.proxy": fleet.registry.push(apps.haproxy(), "haproxy:lts"),
        **{f"engine.replicas.{name}": number for name, number in replicas.items()},
    }


def form(shop, others):
    """Make the first of the provisioned hosts a manager, and each other one that or a worker."""
    first, *more = shop.machines().values()
    first.run(f"docker swarm init --advertise-addr {first.address} --default-addr-pool 10.83.0.0/16")
    token = first.run(f"docker swarm join-token -q {others}").strip()
    for host in more:
        host.run(f"docker swarm join --token {token} {first.address}:2377")
    for name, host in shop.hosts.items():
        labels = [f"--label-add {shop.app}.{role}=true" for role in host["roles"]]
        first.run(f"docker node update {' '.join(labels)} {name}")
