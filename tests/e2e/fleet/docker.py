"""The user's Docker engine: its command line, images by content, and what a container may do that runs systemd."""

import functools
import hashlib
import json
import subprocess
from pathlib import Path

# All but SYS_RESOURCE: engines that are themselves in a container refuse that one, and with it --privileged.
CAPABILITIES = """
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK
    IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW
    SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE
    SYS_RAWIO SYS_TIME SYS_TTY_CONFIG WAKE_ALARM""".split()


class FleetError(Exception):
    """The fleet can't do what was asked; the message says why, in a line or with the failed command's last words."""


def docker(*words, input=None, timeout=60, check=True):
    """Run `docker WORDS…`, with the bytes of `input`; the finished process, its output as text.

    Raises FleetError when it fails (unless not `check`), when there is no docker, or after `timeout` seconds.
    """
    source = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    try:
        done = subprocess.run(["docker", *map(str, words)], capture_output=True, timeout=timeout, **source)
    except FileNotFoundError:
        raise FleetError("no docker command here: install Docker") from None
    except subprocess.TimeoutExpired:
        raise FleetError(f"docker {words[0]} … took more than {timeout} s") from None
    done.stdout, done.stderr = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if check and done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-20:])
        raise FleetError(f"docker {words[0]} … failed ({done.returncode}): {said}")
    return done


def inspect(names):
    """What the engine knows of these containers, as a list of dicts."""
    return json.loads(docker("inspect", *names).stdout) if names else []


def build(folder, name, target=None, timeout=900, **arguments):
    """An image from `folder`'s Dockerfile, made only when its content is new. Returns its name and tag."""
    digest = hashlib.sha256(repr((target, sorted(arguments.items()))).encode())
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    tag = f"{name}:{digest.hexdigest()[:12]}"
    if docker("image", "inspect", tag, check=False).returncode:
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        docker("build", "--quiet", *(["--target", target] if target else []), *words, "--tag", tag, str(folder),
               timeout=timeout)
    return tag


@functools.cache
def machine_options(image):
    """The `docker run` options with which a container of `image` can boot systemd and hold an engine of its own."""
    privileged = not docker("run", "--rm", "--privileged", "--entrypoint", "true", image, check=False).returncode
    version = docker("info", "--format", "{{.CgroupVersion}}").stdout.strip()
    rights = ["--privileged"] if privileged else [
        *(f"--cap-add={name}" for name in CAPABILITIES),
        "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
    # Privileged it has all devices. The engine makes none that its machine lacks: a module that is not loaded.
    fuse = [] if privileged or not Path("/dev/fuse").exists() else ["--device=/dev/fuse"]
    # A privileged container on cgroup v2 has a writable tree of its own; otherwise it gets the machine's.
    cgroups = [] if privileged and version == "2" else [
        "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return [*rights, *fuse, *cgroups, "--tmpfs=/run", "--tmpfs=/tmp:exec,mode=1777"]
