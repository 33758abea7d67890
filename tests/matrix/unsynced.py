"""A disk that drops what was not synced when its host loses power. It needs root on Linux, for a loop device.

The releases and settings of a host are put on it. What Docker and systemd keep stays on the host's own disk."""

import contextlib
import tempfile
from pathlib import Path

from proc import output
from slipway.fleet.docker import docker

FOLDERS = ("/etc/default", "/var/www/shop")
MEGABYTES = 200
# In the host's mount namespace, but not in its cgroup, which may open no device. $1: the loop device's number.
MOUNT = """
mknod /loop b 7 "$1" && mkdir -p /unsynced && mount /loop /unsynced && rm /loop
for folder in $FOLDERS; do
    mkdir -p "/unsynced$folder" && cp -a "$folder/." "/unsynced$folder"
    find "$folder" -mindepth 1 -delete
    mount --bind "/unsynced$folder" "$folder"
done
sync -f /unsynced
"""
UNMOUNT = """
for folder in $FOLDERS; do
    umount -l "$folder" && cp -a "/unsynced$folder/." "$folder"
done
umount -l /unsynced
"""


@contextlib.contextmanager
def disk(host):
    """Put the host's folders on such a disk for the block, which gets a function that ends as the power does. Once the
    host is on again, they are on its own disk."""
    with tempfile.TemporaryDirectory() as folder:
        image, lost = Path(folder, "disk"), []
        with open(image, "wb") as file:
            file.truncate(MEGABYTES << 20)
        output(["mkfs.ext4", "-q", image])
        device = output(["losetup", "--find", "--show", image]).strip()

        def cut():
            lost.append(power_cut(host, image))

        try:
            inside(host, MOUNT, device.removeprefix("/dev/loop"))
            yield cut
            if not lost:
                inside(host, UNMOUNT)
        finally:
            output(["losetup", "--detach", device])


def inside(host, script, *words):
    pid = docker("inspect", "--format={{.State.Pid}}", host.machine.container).stdout.strip()
    command = ["nsenter", f"--target={pid}", "--mount", "sh", "-euc", script, "sh", *words]
    return output(command, env={"FOLDERS": " ".join(FOLDERS), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def power_cut(host, image):
    """Stop all that runs on the host, keep what its disk has by then, and end the host. A paused container is killed
    before anything in it runs again."""
    docker("pause", host.machine.container)
    left, packed = image.with_name("left"), image.with_name("packed")
    output(["cp", "--sparse=always", image, left])
    host.power_cut()
    with mounted(left) as folder:
        output(["tar", "-C", folder, "-cf", packed, *(path[1:] for path in FOLDERS)])
    docker("cp", "-", f"{host.machine.container}:/", input=packed.read_bytes())


@contextlib.contextmanager
def mounted(image):
    with tempfile.TemporaryDirectory() as folder:
        output(["mount", "-o", "loop", image, folder])  # it replays the journal, as after a power cut
        try:
            yield folder
        finally:
            output(["umount", folder])
