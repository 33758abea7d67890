"""Run Docker, build images tagged with a hash of their files, and give containers the rights that systemd needs."""

import functools
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

# All capabilities but SYS_RESOURCE: a Docker that runs in a container may refuse SYS_RESOURCE and --privileged.
CAPABILITIES = """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK
    IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW
    SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE
    SYS_RAWIO SYS_TIME SYS_TTY_CONFIG WAKE_ALARM""".split()
Done = subprocess.CompletedProcess[str]


class FleetError(Exception):
    """Docker cannot run the test servers. The message is a line for the user."""


def docker(*words: object, input: bytes | None = None, timeout: float = 300, check: bool = True) -> Done:
    """Run `docker WORDS…`. Raise FleetError if docker is missing, too slow or, with `check`, fails. While a disk syncs
    the layers of a build, other commands wait for minutes."""
    try:
        done = subprocess.run(
            ["docker", *map(str, words)], input=input or b"", capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise FleetError("no docker command here: install Docker") from None
    except subprocess.TimeoutExpired:
        raise FleetError(f"docker {words[0]} … took more than {timeout} s") from None
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if check and done.returncode:
        output = "\n".join(err.strip().splitlines()[-20:])
        raise FleetError(f"docker {words[0]} … failed ({done.returncode}): {output}")
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def build(files: Mapping[str, bytes], name: str, target: str = "", timeout: float = 900, **arguments: str) -> str:
    """Build an image from `files` (path → content), unless it exists. Return its tag."""
    digest = hashlib.sha256(repr((target, sorted(arguments.items()), sorted(files.items()))).encode())
    tag = f"{name}:{digest.hexdigest()[:12]}"
    if docker("image", "inspect", tag, check=False).returncode:
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        docker(
            "build",
            "--quiet",
            *(["--target", target] if target else []),
            *words,
            "--tag",
            tag,
            "-",
            input=tar_archive({path: (content, 0o644) for path, content in files.items()}),
            timeout=timeout,
        )
    return tag


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def tar_archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


@functools.cache
def machine_options(image: str) -> list[str]:
    """Return the `docker create` options with which `image` can run systemd and Docker."""
    privileged = not docker("run", "--rm", "--privileged", "--entrypoint", "true", image, check=False).returncode
    version = docker("info", "--format", "{{.CgroupVersion}}").stdout.strip()
    rights = (
        ["--privileged"]
        if privileged
        else [
            *(f"--cap-add={name}" for name in CAPABILITIES),
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
        ]
    )
    # A privileged container already has all devices. Without the kernel module fuse there is no /dev/fuse to pass on.
    fuse = [] if privileged or not Path("/dev/fuse").exists() else ["--device=/dev/fuse"]
    # With cgroup v2 a privileged container has its own writable cgroup tree. Otherwise it uses that of this machine.
    cgroups = [] if privileged and version == "2" else ["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return [*rights, *fuse, *cgroups, "--tmpfs=/run", "--tmpfs=/tmp:exec,mode=1777"]
