"""What the fleet of a checkout is called and where it is found: pure, from the checkout's path."""

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_HOSTS = ("web1", "web2", "work1")
INSIDE = {"host": (22, 80, 443), "services": (22, 5432, 6379), "registry": (5000,)}


@dataclass(frozen=True)
class Names:
    """The names of one checkout's fleet. Two checkouts on a machine share nothing but images."""

    number: int
    folder: Path  # keys, ssh_config, known_hosts, lock

    @property
    def fleet(self):
        """The network's name, the label's value, and the start of every container's name."""
        return f"fleet-{self.number:08x}"

    def container(self, name):
        return f"{self.fleet}-{name}"

    def subnets(self):
        """Networks to try in turn: fixed addresses need a known one, and another may be using it."""
        return [f"10.{200 + self.number % 50}.{(self.number // 50 + step) % 250}" for step in range(20)]

    def ports(self):
        """Ports to try in turn: below those the kernel hands to clients, which may take one while its host is off."""
        first = 20_000 + self.number % 500 * 20
        return list(range(first, first + 2000))


def of_checkout():
    """The names for a fleet of this checkout; for one beside the first, FLEET in the environment tells it."""
    fleet = os.environ.get("FLEET", "1")
    which = "" if fleet == "1" else fleet
    number = int(hashlib.sha256(f"{ROOT}{which}".encode()).hexdigest()[:8], 16)
    return Names(number, ROOT / "var" / f"fleet{which}")


def free_ports(candidates, taken, count):
    """The first `count` of `candidates` that are not `taken` and that nobody listens on."""
    found = []
    for port in candidates:
        if port not in taken and _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports from {candidates[0]} to {candidates[-1]}")


def _is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def ssh_config(folder, ports):
    """The text of an ssh_config for the hosts in `ports` (name → port) that reads nothing of the user's own."""
    def quoted(path):
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


def known_hosts(key, ports):
    """The text of a known_hosts file: `key` is the public one of all hosts, `ports` where each answers, by name."""
    return "".join(f"[127.0.0.1]:{port} {key}" for port in ports.values())
