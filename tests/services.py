"""Real services out of Debian's packages, on free ports of the loopback; each ends with the tests that asked for it.

Of those that take long to start all workers of a run share one: see sharing.py.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from proc import free_port, running, wait_until
from sharing import shared

RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH goes to the machine's own folders


def missing(what):
    """Skip, as this machine has no such service; in CI, which installs Debian's packages, fail."""
    needed = os.environ.get("CI") and sys.platform == "linux"
    (pytest.fail if needed else pytest.skip)(f"{what} is not installed here")


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def as_user(name):
    """What goes before a command that is not to run as root: PostgreSQL refuses, RabbitMQ's files are its own."""
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"] if os.getuid() == 0 else []


@contextlib.contextmanager
def folder_for(user):
    """Outside of pytest's own, which other users may not enter; short, as it is part of a path."""
    with tempfile.TemporaryDirectory(prefix=f"{user[:2]}-") as path:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        yield Path(path)


class Server:
    """A service that can be stopped and started again, with what it keeps. A subclass has `port` and `name`, makes the
    `command()` to run, and knows when it `is_ready()`."""

    folder = Path("/")
    env = None

    def __init__(self, port=None):
        self.port, self.stack = port or free_port(), contextlib.ExitStack()

    def start(self):
        self.process = process = self.stack.enter_context(running(self.command(), cwd=self.folder, env=self.env))
        wait_until(lambda: process.poll() is not None or self.is_ready(), 120, what=self.name)
        assert process.poll() is None, process.output()

    def stop(self):
        self.stack.close()

    @contextlib.contextmanager
    def paused(self):
        """While the block runs it takes connections, and answers nothing; what it had to do it does later."""
        signal_tree(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_tree(self.process.pid, signal.SIGCONT)

    def is_ready(self):
        return answers(self.port)


def signal_tree(pid, number):
    """To a process and its children's children: those of PostgreSQL lead groups of their own."""
    os.kill(pid, number)
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            with contextlib.suppress(OSError):
                signal_tree(int(child), number)


class Redis(Server):
    """Nothing is kept on disk."""

    name = "Redis"

    def command(self):
        return [shutil.which("redis-server") or missing("Redis"), "--port", self.port, "--bind", "127.0.0.1",
                "--save", "", "--appendonly", "no"]

    def url(self, number=0, port=None):
        return f"redis://127.0.0.1:{port or self.port}/{number}"


@pytest.fixture(scope="session")
def redis():
    """A Redis of this session's own; a test that stops it starts it again."""
    server = Redis()
    with contextlib.closing(server.stack):
        server.start()
        yield server


HOSTS = ["/", "alone", *(f"gw{number}" for number in range(32))]
DEFINITIONS = {
    "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
    "vhosts": [{"name": host} for host in HOSTS],
    "permissions": [{"user": "guest", "vhost": host, "configure": ".*", "write": ".*", "read": ".*"} for host in HOSTS]}


class RabbitMQ(Server):
    """A node apart from the machine's own: it has its own name, cookie, files and ports, and its own port mapper
    (epmd), which is started before it. Each worker has a virtual host of its own in it, so queues of its own."""

    name = "RabbitMQ"

    def __init__(self, folder):
        super().__init__()
        (folder / "conf").write_text(f"load_definitions = {folder}/definitions.json\n")
        (folder / "definitions.json").write_text(json.dumps(DEFINITIONS))
        self.folder, self.mapper_port = folder, free_port()
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.mapper_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(free_port()), "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data", "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": f"{folder}/conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none"}

    def command(self):
        return [*as_user("rabbitmq"), RABBITMQ_SERVER]

    def start(self):
        mapper = [*as_user("rabbitmq"), "epmd", "-address", "127.0.0.1", "-port", self.mapper_port]
        self.stack.enter_context(running(mapper, cwd=self.folder, env=self.env))
        wait_until(lambda: answers(self.mapper_port), what="epmd")
        super().start()

    def is_ready(self):
        """It has said so: the port is open before."""
        return "Server startup complete" in self.process.output()

    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"


@dataclass
class VirtualHost:
    """What a test needs to know of a RabbitMQ."""

    port: int
    name: str

    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self.name}"


@contextlib.contextmanager
def new_rabbitmq():
    """A RabbitMQ of its own while the block runs."""
    if not Path(RABBITMQ_SERVER).exists():
        missing("RabbitMQ")
    with folder_for("rabbitmq") as path:
        server = RabbitMQ(path)
        with contextlib.closing(server.stack):
            server.start()
            yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory, request):
    """This worker's part of a RabbitMQ of this run's own."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "alone")
    return VirtualHost(shared(tmp_path_factory, "rabbitmq", new_rabbitmq), worker)
