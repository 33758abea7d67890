"""One machine of the fleet: make its container, and connect to it by ssh."""

import json
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .docker import FleetError, docker, machine_options, tar_archive

LABEL = "slipway.fleet"


@dataclass(frozen=True)
class Machine:
    """A container. `ports`: port of the container → published port on 127.0.0.1. `registry`: the published port of the
    registry, which leads to it from 127.0.0.1 of a host, too; 0 on other machines."""

    name: str
    container: str
    network: str
    address: str
    image: str
    kind: str  # host, services or registry
    ports: dict[int, int] = field(hash=False)
    registry: int = 0

    def command(self, options: list[str]) -> list[str]:
        published = [f"--publish=127.0.0.1:{outside}:{inside}" for inside, outside in self.ports.items()]
        return [
            "create",
            f"--name={self.container}",
            f"--hostname={self.name}",
            f"--network={self.network}",
            f"--network-alias={self.name}",
            f"--ip={self.address}",
            f"--label={LABEL}={self.network}",
            f"--label={LABEL}.machine={json.dumps(vars(self))}",
            *published,
            *options,
            self.image,
        ]


def from_inspect(inspected: Any) -> Machine | None:
    """Return the Machine of a fleet's inspected container; None if it never started."""
    if inspected["State"]["StartedAt"].startswith("0001"):
        return None
    saved = json.loads(inspected["Config"]["Labels"][f"{LABEL}.machine"])
    return Machine(**{**saved, "ports": {int(inside): outside for inside, outside in saved["ports"].items()}})


def create(machine: Machine, folder: Path) -> None:
    docker("rm", "--force", "--volumes", machine.container, timeout=180, check=False)
    if machine.kind == "registry":
        docker(*machine.command(["--env=REGISTRY_STORAGE_DELETE_ENABLED=true"]), timeout=300)
    else:
        docker(*machine.command(machine_options(machine.image)))
        docker("cp", "-", f"{machine.container}:/", input=identity(folder, machine))
    docker("start", machine.container)


def identity(folder: Path, machine: Machine) -> bytes:
    public = (folder / "id_ed25519.pub").read_bytes()
    return tar_archive(
        {
            "etc/machine-id": (machine.name.encode().hex().ljust(32, "0")[:32].encode() + b"\n", 0o444),
            "etc/ssh/ssh_host_ed25519_key": ((folder / "host_key").read_bytes(), 0o600),
            "etc/ssh/authorized_keys/root": (public, 0o644),
            "etc/ssh/authorized_keys/deploy": (public, 0o644),
            **(registry_units(machine.registry) if machine.registry else {}),
        }
    )


def registry_units(port: int) -> dict[str, tuple[bytes, int]]:
    """Return units with which 127.0.0.1:`port` of a host leads to the registry, as on the user's machine. So an image
    has one name for both, and Docker asks for no certificate there."""
    units = {
        "fleet-registry.socket": f"[Socket]\nListenStream=127.0.0.1:{port}\n",
        "fleet-registry.service": "[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd registry:5000\n",
        "sockets.target.d/fleet-registry.conf": "[Unit]\nWants=fleet-registry.socket\n",
    }
    return {f"etc/systemd/system/{path}": (unit.encode(), 0o644) for path, unit in units.items()}


def keygen(path: Path) -> str:
    if not path.exists():
        done = subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise FleetError(f"ssh-keygen: {done.stderr.strip()}")
    return Path(f"{path}.pub").read_text()


def ssh(machine: Machine, config: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = ["ssh", "-F", str(config), machine.name, command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def wait_running(machine: Machine, config: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    why = "not asked"
    while time.monotonic() < deadline:
        why = registry_problem(machine) if machine.kind == "registry" else systemd_problem(machine, config)
        if not why:
            return
        time.sleep(0.1)
    raise FleetError(f"{machine.name} is not up within {seconds:g} s: {why}{no_inotify(machine)}")


def no_inotify(machine: Machine) -> str:
    """Return what to do if no inotify instance is left: without one, systemd starts nothing, and says so nowhere."""
    code = "import ctypes; print(ctypes.CDLL(None).inotify_init())"
    limit = docker("exec", machine.container, "python3", "-c", code, check=False)
    if limit.stdout.strip() == "-1":
        return "; Docker's machine has no inotify instance left: sysctl fs.inotify.max_user_instances=1024"
    return ""


def registry_problem(machine: Machine) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{machine.ports[5000]}/v2/", timeout=5):
            return ""
    except OSError as error:
        return str(error)


def systemd_problem(machine: Machine, config: Path) -> str:
    """Return "" if all systemd units have started, else the reason. Raise FleetError if a unit or the boot failed."""
    done = ssh(machine, config, "systemctl is-system-running --wait")
    if done.stdout.strip() == "degraded":
        failed = ssh(machine, config, "systemctl --failed --plain --no-legend").stdout.strip()
        raise FleetError(f"{machine.name}: units failed: {failed}{no_inotify(machine)}")
    state = "{{.State.Status}}"
    if done.returncode == 255 and docker("inspect", f"--format={state}", machine.container).stdout.strip() == "exited":
        raise FleetError(f"{machine.name} exited while booting: see docker logs {machine.container}")
    return "" if done.stdout.strip() == "running" else (done.stdout + done.stderr).strip() or "no answer"
