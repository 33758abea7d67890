"""Real services out of Debian's packages, on free ports of the loopback; each ends with the tests that asked for it.

Of those that take long to start all workers of a run share one: see `shared`.
"""

import contextlib
import fcntl
import itertools
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

import warm
from proc import ROOT, free_port, run, running, wait_until

POSTGRES_USER = "slip"
TEMPLATE = "template_migrated"
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


_kept = contextlib.ExitStack()  # what this worker started for all, and that it uses what others started


def shared(tmp_path_factory, name, start):
    """The port of a service that start() gives, a context manager: the first of all workers starts it, and ends it when
    none uses it any more."""
    port, lock, users = (common(tmp_path_factory) / f"{name}.{what}" for what in ("port", "lock", "users"))
    used = _kept.enter_context(open(users, "a"))
    with locked(lock):
        if not port.exists():
            port.write_text(str(_kept.enter_context(start()).port))
            _kept.callback(no_longer, port, lock, used)
        fcntl.flock(used, fcntl.LOCK_SH)
        return int(port.read_text())


def no_longer(port, lock, used):
    """Offer a service to nobody any more, and wait until those who use it have ended."""
    with locked(lock):
        port.unlink()
        fcntl.flock(used, fcntl.LOCK_EX)


def once(tmp_path_factory, name, make):
    """The path of a file that make(path) writes, by the first of all workers that needs it."""
    path = common(tmp_path_factory) / name
    with locked(path.with_name(f"{name}.lock")):
        if not path.exists():
            make(path.with_name(f"{name}.new"))
            path.with_name(f"{name}.new").rename(path)
    return path


def common(tmp_path_factory):
    """The folder that all workers of a run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@contextlib.contextmanager
def locked(path):
    """One worker at a time."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pytest_unconfigure():
    """After the last test, when no worker waits for its turn any more."""
    _kept.close()


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


class Postgres(Server):
    """`database()` makes a new one in it, with all migrations unless told otherwise."""

    name = "PostgreSQL"

    def __init__(self, bin, folder=None, port=None):
        super().__init__(port)
        self.bin, self.folder = bin, folder
        self.numbers = itertools.count(1)
        self.template = None

    def make(self):
        """Its files."""
        made = run([*as_user("postgres"), self.bin / "initdb", "-D", self.folder / "data", "-U", POSTGRES_USER,
                    "-A", "trust", "-N", "-E", "UTF8", "--locale=C"], cwd=self.folder)
        assert made.returncode == 0, made.stderr

    def command(self):
        return [*as_user("postgres"), self.bin / "postgres", "-D", self.folder / "data", "-p", self.port,
                "-h", "127.0.0.1", "-F", "-c", "unix_socket_directories=", "-c", "max_connections=200"]

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
            self.make_template()
        return self.create(f"test{os.getpid()}_{next(self.numbers)}", *(["-T", self.template] if migrated else []))

    def make_template(self):
        """What databases with all migrations are copies of."""
        self.template = self.create(TEMPLATE)
        migrate(self.url(self.template))

    def create(self, name, *options):
        done = run([self.bin / "createdb", "-h", "127.0.0.1", "-p", self.port, "-U", POSTGRES_USER, *options, name])
        assert done.returncode == 0, done.stderr
        return name


def migrate(url):
    """All migrations into the database of that URL."""
    done = warm.python("manage.py", "migrate", "-v0", cwd=ROOT, env={**os.environ, "DATABASE_URL": url})
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
        server.make()
        with contextlib.closing(server.stack):
            server.start()
            yield server
            server.stop()


@contextlib.contextmanager
def postgres_for_all():
    """One with the template, as two workers could not both make it."""
    with new_postgres() as server:
        server.make_template()
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A PostgreSQL of this run's own. It is not to be stopped or paused: take new_postgres() for that."""
    server = Postgres(postgres_bin(), port=shared(tmp_path_factory, "postgres", postgres_for_all))
    server.template = TEMPLATE
    return server


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
