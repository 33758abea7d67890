"""Names, addresses and ports of a folder's fleet (its test servers)."""

import hashlib
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INSIDE = {"host": (22, 80, 443), "services": (22, 5432, 6379), "registry": (5000,)}


@dataclass(frozen=True)
class Names:
    """The names of one folder's fleet. Fleets of two folders share only images."""

    number: int
    folder: Path  # has keys, ssh_config, known_hosts and the lock

    @property
    def fleet(self) -> str:
        """The fleet's name: also the network's name, the label's value and the prefix of container names."""
        return f"fleet-{self.number:08x}"

    def container(self, name: str) -> str:
        return f"{self.fleet}-{name}"

    def subnets(self) -> list[str]:
        """Return networks to try, such as 10.200.7. Docker gives fixed addresses only in networks that we choose."""
        return [f"10.{200 + self.number % 50}.{(self.number // 50 + step) % 250}" for step in range(20)]

    def ports(self) -> list[int]:
        """Return many ports, as some may be in use. The kernel uses none of them for outgoing connections."""
        first = 20_000 + self.number % 500 * 20
        return list(range(first, first + 2000))


def of_folder(root: Path | None = None, number: str = "") -> Names:
    """Return the names of `root`'s fleet (None: the working folder's). `number` or the variable FLEET selects one."""
    root = (root or Path.cwd()).resolve()
    fleet = number or os.environ.get("FLEET", "1")
    which = "" if fleet == "1" else fleet
    digest = int(hashlib.sha256(f"{root}{which}".encode()).hexdigest()[:8], 16)
    return Names(digest, root / "var" / f"fleet{which}")


def free_ports(candidates: Sequence[int], taken: set[int], count: int) -> list[int]:
    free: list[int] = []
    for port in candidates:
        if port not in taken and is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise OSError(f"no {count} free ports from {candidates[0]} to {candidates[-1]}")


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def ssh_config(folder: Path, ports: Mapping[str, int]) -> str:
    """Return an ssh_config for hosts (name → port) with the fleet's keys and known_hosts, not the user's."""

    def quoted(path: Path) -> str:
        return '"' + str(path).replace("%", "%%") + '"'

    hosts = "".join(f"Host {name}\n    Port {port}\n" for name, port in sorted(ports.items()))
    return f"""{hosts}Host *
    HostName 127.0.0.1
    User root
    IdentityFile {quoted(folder / "id_ed25519")}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {quoted(folder / "known_hosts")}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 10
    LogLevel ERROR
"""


def known_hosts(key: str, ports: Iterable[int]) -> str:
    return "".join(f"[127.0.0.1]:{port} {key}" for port in ports)
