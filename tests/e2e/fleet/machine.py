"""One machine of the fleet: a container, as it was asked for, and how to make it."""

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from proc import run, wait_until

from .docker import FleetError, docker, machine_options

LABEL = "slipway.fleet"


@dataclass(frozen=True)
class Machine:
    """A container of the fleet: `ports` maps a port inside to the one at 127.0.0.1."""

    name: str
    container: str
    network: str
    address: str
    image: str
    kind: str  # host, services or registry
    ports: dict = field(hash=False)

    def label(self):
        """What is kept with the container, so that the fleet is found again without a file of its own."""
        return json.dumps(vars(self))

    def command(self, options):
        """The `docker create` command line."""
        published = [f"--publish=127.0.0.1:{outside}:{inside}" for inside, outside in self.ports.items()]
        return ["create", f"--name={self.container}", f"--hostname={self.name}", f"--network={self.network}",
                f"--network-alias={self.name}", f"--ip={self.address}", f"--label={LABEL}={self.network}",
                f"--label={LABEL}.machine={self.label()}", *published, *options, self.image]


def from_inspect(found):
    """The Machine that a container, as `docker inspect` shows it, was made as; None if it is not whole or not ours."""
    if found["State"]["StartedAt"].startswith("0001"):
        return None  # whoever made it was interrupted
    try:
        known = json.loads(found["Config"]["Labels"][f"{LABEL}.machine"])
        return Machine(**{**known, "ports": {int(inside): outside for inside, outside in known["ports"].items()}})
    except (KeyError, TypeError, ValueError):
        return None


def create(machine, folder):
    """Make the machine anew and start it. Nothing of an earlier one with its name is left."""
    docker("rm", "--force", "--volumes", machine.container, timeout=180, check=False)
    if machine.kind == "registry":
        docker(*machine.command(["--env=REGISTRY_STORAGE_DELETE_ENABLED=true"]), timeout=300)
    else:
        docker(*machine.command(machine_options(machine.image)))
        identity = _identity(folder, machine.name)
        docker("cp", "-", f"{machine.container}:/", input=identity)
    docker("start", machine.container)


def _identity(folder, name):
    """A tar of what makes a machine this one: its ssh host key, its id, and who may log in."""
    public = (folder / "id_ed25519.pub").read_bytes()
    files = {
        "etc/machine-id": (name.encode().hex().ljust(32, "0")[:32].encode() + b"\n", 0o444),
        "etc/ssh/ssh_host_ed25519_key": ((folder / "host_key").read_bytes(), 0o600),
        "etc/ssh/authorized_keys/root": (public, 0o644),
        "etc/ssh/authorized_keys/deploy": (public, 0o644),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def keygen(path):
    """An ssh key pair at `path` and `path`.pub, unless there is one; its public half."""
    if not path.exists():
        done = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path])
        if done.returncode:
            raise FleetError(f"ssh-keygen: {done.stderr.strip()}")
    return Path(f"{path}.pub").read_text()


def wait_running(ssh, machine, seconds=60):
    """Wait until systemd has started all there is on the machine that `ssh COMMAND` reaches.

    Raises FleetError that names the failed units when it came up degraded, or what ssh said when it never did.
    """
    name = machine.name

    def state():
        done = ssh("systemctl is-system-running --wait")
        if done.returncode == 255 and docker("inspect", "--format={{.State.Status}}", machine.container
                                             ).stdout.strip() == "exited":
            raise FleetError(f"{name} has ended as it started")
        assert done.stdout.strip() in ("running", "degraded"), done.stdout + done.stderr
        return done.stdout.strip()
    try:
        if wait_until(state, seconds, f"{name} is up") == "degraded":
            raise FleetError(f"{name} is degraded: {ssh('systemctl --failed --plain --no-legend').stdout.strip()}")
    except AssertionError as error:
        raise FleetError(str(error)) from None
