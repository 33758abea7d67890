"""A server of the fleet, as a user has it (`run`, over ssh), and what can befall it (the rest, from outside)."""

import contextlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from proc import run, wait_until

from .docker import docker
from .machine import Machine, create, wait_running


@dataclass(frozen=True)
class Host:
    """One server. `ssh_config` is the file that knows it by `name`; ports are those at 127.0.0.1."""

    machine: Machine
    ssh_config: Path

    @property
    def name(self):
        return self.machine.name

    @property
    def address(self):
        """Its address in the fleet's network, as other hosts use it."""
        return self.machine.address

    @property
    def http_port(self):
        return self.machine.ports[80]

    @property
    def url(self):
        """Where its nginx answers from here."""
        return f"http://127.0.0.1:{self.http_port}"

    def ssh(self, command, user="root", timeout=60, **options):
        """Run a shell command over ssh; the finished process, whatever its exit code (255: ssh's own)."""
        words = ["ssh", "-F", self.ssh_config, "-l", user, self.name, command]
        return run(words, timeout=timeout, **({**options, "stdin": None} if "input" in options else options))

    def run(self, command, **options):
        """Run a shell command over ssh and return its output. Raises AssertionError when it fails."""
        done = self.ssh(command, **options)
        assert done.returncode == 0, f"{self.name}: {command}: exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path, content):
        """Put a text file there, as root, its folder included."""
        self.run(f"mkdir -p \"$(dirname '{path}')\" && cat >'{path}'", input=content)

    def console(self, command, timeout=60, check=True):
        """Run a shell command as root without ssh, as at the machine's own keyboard."""
        return docker("exec", self.machine.container, "sh", "-c", command, timeout=timeout, check=check)

    def power_cut(self):
        """Off, without warning. What was written but not synced may, unlike in life, still be there."""
        docker("kill", self.machine.container)

    def power_on(self):
        """On again, and all its units have started."""
        docker("start", self.machine.container)
        self.wait_running()

    def wait_running(self, seconds=60):
        """Wait until systemd is done; FleetError names what failed."""
        wait_running(self.ssh, self.machine, seconds)

    def reset(self):
        """A bare host again: same name and ports, nothing else left. Takes a few seconds."""
        create(self.machine, self.ssh_config.parent)
        self.wait_running()

    @contextlib.contextmanager
    def cut_off(self):
        """While the block runs nothing reaches the host or leaves it, and nobody is told."""
        rules = ("raw {} PREROUTING -i eth0 -j DROP", "mangle {} POSTROUTING -o eth0 -j DROP")

        def apply(verb):
            self.console(" && ".join("iptables -w -t " + rule.format(verb) for rule in rules))
        apply("-I")
        try:
            yield
        finally:
            apply("-D")

    @contextlib.contextmanager
    def full(self, folder):
        """While the block runs there is no byte free in `folder`; what it holds stays readable, beneath a copy."""
        size = int(self.console(f"du -sk '{folder}'").stdout.split()[0]) + 64
        self.console(f"copy=$(mktemp -d) && cp -a '{folder}/.' $copy/ &&"
                     f" mount -t tmpfs -o size={size}k,mode=755 full '{folder}' &&"
                     f" cp -a $copy/. '{folder}/' && rm -rf $copy")
        try:
            self.console(f"cat /dev/zero >'{folder}/.filler'", check=False)
            yield
        finally:
            self.console(f"umount -l '{folder}'")


@dataclass(frozen=True)
class Services(Host):
    """The host with Postgres and Redis, shared by all tests. URLs hold for the hosts and for containers on them."""

    @property
    def redis_url(self):
        return f"redis://{self.address}:6379/0"

    def new_database(self, name):
        """An empty database of that name, whatever there was; its URL."""
        drop, make = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name} OWNER app"
        self.run(f"su postgres -c \"psql -q -c '{drop}' -c '{make}'\"")
        return f"postgres://app:app@{self.address}:5432/{name}"


@dataclass(frozen=True)
class Registry:
    """Where hosts pull from."""

    machine: Machine

    @property
    def address(self):
        """host:port as the hosts name it."""
        return f"{self.machine.address}:5000"

    @property
    def local(self):
        """host:port as the engine here names it."""
        return f"127.0.0.1:{self.machine.ports[5000]}"

    def push(self, image, name, timeout=300):
        """Push an image of the engine here as `name` (repository:tag); what the hosts pull it as."""
        here = f"{self.local}/{name}"
        docker("tag", image, here)
        try:
            docker("push", "--quiet", here, timeout=timeout)
        finally:
            docker("rmi", "--no-prune", here, check=False)
        return f"{self.address}/{name}"

    def wait_running(self, seconds=30):
        wait_until(lambda: urllib.request.urlopen(f"http://{self.local}/v2/", timeout=5).status == 200, seconds,
                   "the registry answers")
