"""Real services from Debian's packages, on free ports of the loopback. Each stops after the tests that use it.

All workers of a run share the slow ones: see sharing.py.
"""

import contextlib
import json
import os
import pwd
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import kombu
import pytest

from proc import free_port, output, running, wait_until
from sharing import shared

RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one on PATH uses the machine's own folders


def missing(program):
    """Skip the test, because this machine lacks that program of Debian's packages. In CI such a run fails: see
    conftest.py."""
    pytest.skip(f"needs {program}")


def pytest_runtest_setup(item):
    """Skip a test marked `needs("PROGRAM")` if this machine lacks that program of Debian's packages."""
    for mark in item.iter_markers("needs"):
        if not shutil.which(mark.args[0]):
            missing(mark.args[0])


def certificate(folder, name="localhost", kind="DNS"):
    """Create a key and a self-signed certificate for that name, or that `kind="IP"`. Return (certificate, key)."""
    made = folder / f"{name}.pem", folder / f"{name}.key"
    words = ["-out", made[0], "-keyout", made[1], "-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}"]
    output(
        [
            shutil.which("openssl") or missing("openssl"),
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            *words,
        ]
    )
    return made


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def as_user(name):
    """Return a prefix for commands that must not run as root: PostgreSQL refuses, and RabbitMQ needs its own files."""
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"] if os.getuid() == 0 else []


@contextlib.contextmanager
def folder_for(user):
    """Yield a folder outside of pytest's and of mutants.py's, which other users may not enter. Its name is short, for
    socket paths."""
    with tempfile.TemporaryDirectory(prefix=f"{user[:2]}-", dir="/tmp") as path:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        yield Path(path)


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in ("dash", "busybox")]
)
def shell(request):
    """Return the command of a shell."""
    path = shutil.which(request.param)
    return [path, "sh"] if request.param == "busybox" else [path]


class Server:
    """A service that can be stopped and started again with its data. A subclass has `port`, `name`, the `command()` to
    run, and `is_ready()`."""

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

    def is_ready(self):
        return answers(self.port)


class Redis(Server):
    """Redis without data on disk."""

    name = "Redis"

    def command(self):
        return [
            shutil.which("redis-server") or missing("redis-server"),
            "--port",
            self.port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]

    def url(self, number=0):
        return f"redis://127.0.0.1:{self.port}/{number}"


@pytest.fixture(scope="session")
def redis():
    """Yield this session's own Redis. A test that stops it starts it again."""
    server = Redis()
    with contextlib.closing(server.stack):
        server.start()
        yield server


HOSTS = ["/", "alone", *(f"gw{number}" for number in range(32))]
DEFINITIONS = {
    "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
    "vhosts": [{"name": host} for host in HOSTS],
    "permissions": [{"user": "guest", "vhost": host, "configure": ".*", "write": ".*", "read": ".*"} for host in HOSTS],
}


class RabbitMQ(Server):
    """A node separate from the machine's own, with its own name, cookie, files and ports, and its own port mapper
    (epmd), which starts first. Each worker has a virtual host, and so its own queues."""

    name = "RabbitMQ"

    def __init__(self, folder):
        super().__init__()
        (folder / "conf").write_text(f"load_definitions = {folder}/definitions.json\n")
        (folder / "definitions.json").write_text(json.dumps(DEFINITIONS))
        self.folder, self.mapper_port = folder, free_port()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none",
        }

    def command(self):
        return [*as_user("rabbitmq"), RABBITMQ_SERVER]

    def start(self):
        mapper = [*as_user("rabbitmq"), "epmd", "-address", "127.0.0.1", "-port", self.mapper_port]
        self.stack.enter_context(running(mapper, cwd=self.folder, env=self.env))
        wait_until(lambda: answers(self.mapper_port), what="epmd")
        super().start()

    def is_ready(self):
        """Return True after its message, because its port opens earlier."""
        return "Server startup complete" in self.process.output()


def emptied(url):
    """Return the URL of a broker after removing Celery's queues. A worker that ended with an earlier test may have left
    its message."""
    with kombu.Connection(url) as connection:
        for name in ("celery", "celery.dead"):
            queue = kombu.Queue(name)(connection.default_channel)
            queue.declare()
            queue.purge()
            queue.delete()
    return url


@dataclass
class VirtualHost:
    """A virtual host of a RabbitMQ."""

    port: int
    name: str

    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self.name}"


@contextlib.contextmanager
def new_rabbitmq():
    """Run a separate RabbitMQ for the block."""
    if not Path(RABBITMQ_SERVER).exists():
        missing("rabbitmq-server")
    with folder_for("rabbitmq") as path:
        server = RabbitMQ(path)
        with contextlib.closing(server.stack):
            server.start()
            yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory, request):
    """Return this worker's virtual host of the run's own RabbitMQ."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "alone")
    return VirtualHost(shared(tmp_path_factory, "rabbitmq", new_rabbitmq), worker)
