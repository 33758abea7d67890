"""CPU seconds that a server of the fleet uses, its engine and the containers that run on it included."""

import resource
from pathlib import Path

from e2e.fleet.docker import docker

V1, V2 = Path("/sys/fs/cgroup/cpuacct/docker"), Path("/sys/fs/cgroup/system.slice")


def account(hosts):
    """From now on what containers on these servers use is theirs. With cgroup v1 their engines would put them beside
    the server, as they see this machine's tree."""
    for host in hosts:
        if V1.exists():
            parent = f"/docker/{identity(host)}/apps"
            host.console(f"echo DOCKER_OPTS=--cgroup-parent={parent} >/etc/default/docker && systemctl restart docker")


def identity(host):
    return docker("inspect", "--format", "{{.Id}}", host.machine.container).stdout.strip()


def used(hosts):
    """Seconds that each has used since it was made, a list."""
    return [_used(identity(host)) for host in hosts]


def _used(container):
    if V1.exists():
        return int((V1 / container / "cpuacct.usage").read_text()) / 1e9
    folder = next(path for path in (V2 / f"docker-{container}.scope", Path("/sys/fs/cgroup/docker") / container)
                  if path.exists())
    return int((folder / "cpu.stat").read_text().split()[1]) / 1e6


def own():
    """Seconds that commands of this process, and what they waited for, have used since it began."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
