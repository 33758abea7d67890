"""Real services out of Debian's packages, on free ports of the loopback; each ends with the tests that asked for it."""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from proc import ROOT, VE_PYTHON, free_port, run, running, wait_until

POSTGRES_USER = "slip"
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


class Server:
    """A service that can be stopped and started again, with what it keeps. A subclass has `port` and `name`, makes the
    `command()` to run, and knows when it `is_ready()`."""

    folder = Path("/")
    env = None

    def __init__(self):
        self.port, self.stack = free_port(), contextlib.ExitStack()

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


class Postgres(Server):
    """`database()` makes a new one in it, with all migrations unless told otherwise."""

    name = "PostgreSQL"

    def __init__(self, bin, folder):
        super().__init__()
        self.bin, self.folder = bin, folder
        self.numbers = itertools.count(1)
        self.template = None
        made = run([*as_user("postgres"), bin / "initdb", "-D", folder / "data", "-U", POSTGRES_USER, "-A", "trust",
                    "-N", "-E", "UTF8", "--locale=C"], cwd=folder)
        assert made.returncode == 0, made.stderr

    def command(self):
        return [*as_user("postgres"), self.bin / "postgres", "-D", self.folder / "data", "-p", self.port,
                "-h", "127.0.0.1", "-F", "-c", "unix_socket_directories=", "-c", "max_connections=60"]

    def stop(self):
        """At once: its own way is to wait for the clients."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        super().stop()

    def is_ready(self):
        return run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port]).returncode == 0

    def url(self, name, port=None):
        return f"postgres://{POSTGRES_USER}:secret@127.0.0.1:{port or self.port}/{name}"

    def database(self, migrated=True):
        """The name of a new database."""
        if migrated and self.template is None:
            self.template = self.create("template_migrated")
            migrate(self.url(self.template))
        return self.create(f"test{next(self.numbers)}", *(["-T", self.template] if migrated else []))

    def create(self, name, *options):
        done = run([self.bin / "createdb", "-h", "127.0.0.1", "-p", self.port, "-U", POSTGRES_USER, *options, name])
        assert done.returncode == 0, done.stderr
        return name


def migrate(url):
    """All migrations into the database of that URL."""
    done = run([VE_PYTHON, "manage.py", "migrate", "-v0"], cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def folder_for(user):
    """Outside of pytest's own, which other users may not enter; short, as it is part of a path."""
    with tempfile.TemporaryDirectory(prefix=f"{user[:2]}-") as path:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        yield Path(path)


def postgres_bin():
    """The folder of PostgreSQL's programs, the newest where there are several."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return bins[-1] if bins else Path(shutil.which("initdb") or missing("PostgreSQL")).parent


@contextlib.contextmanager
def new_postgres():
    """A PostgreSQL while the block runs."""
    found = postgres_bin()
    with folder_for("postgres") as path:
        server = Postgres(found, path)
        with contextlib.closing(server.stack):
            server.start()
            yield server
            server.stop()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of this session's own."""
    with new_postgres() as server:
        yield server


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


class RabbitMQ(Server):
    """A node apart from the machine's own: it has its own name, cookie, files and ports, and its own port mapper
    (epmd), which is started before it."""

    name = "RabbitMQ"

    def __init__(self, folder):
        super().__init__()
        self.folder, self.mapper_port = folder, free_port()
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.mapper_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(free_port()), "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data", "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_CONFIG_FILE": f"{folder}/none",
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
def rabbitmq():
    """A RabbitMQ of this session's own."""
    with new_rabbitmq() as server:
        yield server
