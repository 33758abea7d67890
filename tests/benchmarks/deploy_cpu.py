"""The CPU seconds that a server of the fleet uses, including its engine and containers."""

from pathlib import Path

from slipway.fleet.docker import docker

V1, V2 = Path("/sys/fs/cgroup/cpuacct/docker"), Path("/sys/fs/cgroup/system.slice")


def account(hosts):
    """Count the containers of these servers as part of them. With cgroup v1, a server's engine sees this machine's
    whole tree, and would otherwise put its containers beside the server."""
    for host in hosts:
        if V1.exists():
            parent = f"/docker/{identity(host)}/apps"
            host.console(f"echo DOCKER_OPTS=--cgroup-parent={parent} >/etc/default/docker && systemctl restart docker")


def identity(host):
    return docker("inspect", "--format", "{{.Id}}", host.machine.container).stdout.strip()


def used(hosts):
    """Return a list of the seconds that each server has used since it was created."""
    return [_used(identity(host)) for host in hosts]


def _used(container):
    if V1.exists():
        return int((V1 / container / "cpuacct.usage").read_text()) / 1e9
    folder = next(
        path for path in (V2 / f"docker-{container}.scope", Path("/sys/fs/cgroup/docker") / container) if path.exists()
    )
    return int((folder / "cpu.stat").read_text().split()[1]) / 1e6
