"""Sends the images of services from this machine's Docker to a host, for `registry = "ssh"`."""

import subprocess
from collections.abc import Sequence
from typing import IO

from ..agent.host import lines_of
from ..config import Host
from ..config.ssh import Ssh
from ..errors import HostProblem
from ..rollout.images import ARCHITECTURES
from ..rollout.local_image import LocalImage, local_image

SECONDS = 900  # for a pull, and for an image's way to the host


def send(image: str, machine: Host, ssh: Ssh, architecture: str) -> None:
    """Send an image, which this machine pulls if it has none of that name, to a host whose `uname -m` says
    `architecture`. Raise HostProblem if that fails."""
    local = local_image(image) or pull(image)
    wanted = ARCHITECTURES.get(architecture, architecture)
    if local.architecture != wanted:
        raise HostProblem(
            f"{image} on this machine is for {local.architecture}, the server needs {wanted}: run docker pull"
            f" --platform linux/{wanted} {image} here"
        )
    load = ssh.command(machine.address, ["docker", "load", "--quiet"], compressed=True)
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as saving:
        run(load, f"cannot load {image}", saving.stdout)
    if saving.returncode:
        raise HostProblem(f"docker save {image} failed on this machine")


def pull(image: str) -> LocalImage:
    """Pull an image to this machine, also if an older one of that name is here. Raise HostProblem if that fails."""
    run(["docker", "pull", "--quiet", image], f'registry = "ssh" sends {image} from this machine, which cannot pull it')
    local = local_image(image)
    if local is None:
        raise HostProblem(f"Docker on this machine does not know {image} after its pull")
    return local


def run(words: Sequence[str], problem: str, stdin: IO[bytes] | int | None = subprocess.DEVNULL) -> None:
    """Run a program. Raise HostProblem with that text, and the last line that the program says, if it fails."""
    try:
        done = subprocess.run(words, stdin=stdin, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise HostProblem(f"{problem} within {SECONDS} s") from None
    except OSError as error:
        raise HostProblem(f"{problem}: {error}") from None
    if done.returncode:
        said = lines_of(done.stderr.decode(errors="replace").strip()) or ["it says nothing"]
        raise HostProblem(f"{problem}: {said[-1]}")
