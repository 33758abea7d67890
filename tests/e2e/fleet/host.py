"""A server of the fleet: `run` uses ssh as a user does, and the other methods cause failures from outside."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from proc import run
from slipway.fleet.docker import docker
from slipway.fleet.machine import Machine, create, wait_running


@dataclass(frozen=True)
class Host:
    """One server. `ssh_config` is the file that contains its `name`; ports are at 127.0.0.1."""

    machine: Machine
    ssh_config: Path

    @property
    def name(self):
        return self.machine.name

    @property
    def address(self):
        """Return its address in the fleet's network, for other hosts."""
        return self.machine.address

    @property
    def url(self):
        """Return the URL of its nginx for this machine."""
        return f"http://127.0.0.1:{self.machine.ports[80]}"

    def ssh(self, command, user="root", timeout=60, **options):
        """Run a shell command over ssh. Return the finished process, whatever its exit code (255 is ssh's own)."""
        words = ["ssh", "-F", self.ssh_config, "-l", user, self.name, command]
        return run(words, timeout=timeout, **({**options, "stdin": None} if "input" in options else options))

    def run(self, command, **options):
        """Run a shell command over ssh. Return its output, or raise AssertionError if it fails."""
        done = self.ssh(command, **options)
        assert done.returncode == 0, f"{self.name}: {command}: exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path, content):
        """Write a text file on the host as root, and create its folder."""
        self.run(f"mkdir -p \"$(dirname '{path}')\" && cat >'{path}'", input=content)

    def console(self, command, timeout=60, check=True):
        """Run a shell command as root without ssh, like at the machine's keyboard."""
        return docker("exec", self.machine.container, "sh", "-c", command, timeout=timeout, check=check)

    def power_cut(self):
        """Switch the host off without warning. Unlike on real hardware, data that was not synced may survive."""
        docker("kill", self.machine.container)

    def power_on(self):
        """Switch the host on, and wait until all its units have started."""
        docker("start", self.machine.container)
        wait_running(self.machine, self.ssh_config)

    def reset(self):
        """Make the host bare again, with the same name and ports. This takes a few seconds."""
        create(self.machine, self.ssh_config.parent)
        wait_running(self.machine, self.ssh_config)

    @contextlib.contextmanager
    def full(self, folder):
        """Fill `folder` for the block, so that no byte is free. Its files stay readable, as a copy."""
        size = int(self.console(f"du -sk '{folder}'").stdout.split()[0]) + 64
        self.console(
            f"copy=$(mktemp -d) && cp -a '{folder}/.' $copy/ &&"
            f" mount -t tmpfs -o size={size}k,mode=755 full '{folder}' &&"
            f" cp -a $copy/. '{folder}/' && rm -rf $copy"
        )
        try:
            self.console(f"cat /dev/zero >'{folder}/.filler'", check=False)
            yield
        finally:
            self.console(f"umount -l '{folder}'")


@dataclass(frozen=True)
class Services(Host):
    """The host with Postgres and Redis, shared by all tests. The URLs are valid on hosts and in their containers."""

    @property
    def redis(self):
        """Return its Redis's URL without a database's number."""
        return f"redis://{self.address}:6379"

    def new_database(self, name):
        """Create an empty database of that name, in place of any old one. Return its URL."""
        drop, make = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} OWNER app"
        self.run(f"su postgres -c \"psql -q -c '{drop}' -c '{make}'\"")
        return f"postgres://app:app@{self.address}:5432/{name}"


@dataclass(frozen=True)
class Registry:
    """The registry that hosts pull from."""

    machine: Machine

    @property
    def address(self):
        """Return host:port for the hosts."""
        return f"{self.machine.address}:5000"

    @property
    def local(self):
        """Return host:port for the engine on this machine."""
        return f"127.0.0.1:{self.machine.ports[5000]}"

    def push(self, image, name, timeout=300):
        """Push an image of this machine's engine as `name` (repository:tag). Return the hosts' name for it."""
        here = f"{self.local}/{name}"
        docker("tag", image, here)
        try:
            docker("push", "--quiet", here, timeout=timeout)
        finally:
            docker("rmi", "--no-prune", here, check=False)
        return f"{self.address}/{name}"
