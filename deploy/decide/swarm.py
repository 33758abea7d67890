"""Which hosts do what in a swarm. Pure."""

from .config import Fleet, Host


def managers(fleet: Fleet) -> list[Host]:
    """The hosts that manage the swarm: those that the file names, or else the first three, or the first of fewer."""
    named, hosts = fleet.engine["managers"], fleet.app_hosts
    return [host for host in hosts if host.name in named] or hosts[:3 if len(hosts) > 2 else 1]


def labels(fleet: Fleet, host: Host) -> dict[str, str]:
    """The labels of a host's node: its roles, so that what an app has there is placed nowhere else."""
    return {f"{fleet.app}.{role}": "true" for role in host.roles}
