"""A page before Redis and Postgres on a machine whose cable is pulled, with cbp and without. Needs root: the machine is
a network namespace.

`make companion-test-cbp PYTEST_ARGS="-k flapping -s"` prints the table of README.md."""

import os
import statistics
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Cbp
from postgresql import Postgres
from proc import VE_PYTHON, run, running, wait_until

NAME, HERE, AWAY = f"cbp{os.getpid()}", "10.213.7.1", "10.213.7.2"
PAGES = {"without cbp": 4, "with cbp": 20}


def ip(*words):
    done = run(["ip", *words])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def machine():
    """A network namespace, reached by one cable. Its name is also that of the cable's end here."""
    ip("netns", "add", NAME)
    try:
        ip("link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", NAME)
        for words in (["addr", "add", f"{HERE}/30", "dev", NAME], ["link", "set", NAME, "up"],
                      ["-n", NAME, "addr", "add", f"{AWAY}/30", "dev", "eth0"],
                      ["-n", NAME, "link", "set", "eth0", "up"], ["-n", NAME, "link", "set", "lo", "up"]):
            ip(*words)
        yield ["ip", "netns", "exec", NAME]
    finally:
        ip("netns", "del", NAME)


@pytest.fixture(scope="module")
def services(machine, tmp_path_factory):
    """Redis and Postgres there. Yields their ports."""
    redis = [*machine, "redis-server", "--bind", AWAY, "--port", "6379", "--protected-mode", "no", "--save", ""]
    postgres = Away(machine, tmp_path_factory.mktemp("postgres"))
    with running(redis) as process, postgres.up():
        wait_until(lambda: "Ready to accept connections" in process.output())
        yield 6379, 5432


class Away(Postgres):
    """Postgres on the machine away."""

    def __init__(self, machine, folder):
        super().__init__(next(Path("/usr/lib/postgresql").glob("*/bin")), folder, 5432)
        self.machine = machine

    @contextmanager
    def up(self):
        os.chmod(self.folder, 0o777)
        for parent in self.folder.parents:
            if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o5 != 0o5:
                os.chmod(parent, 0o755)
        self.make()
        with (self.folder / "data/pg_hba.conf").open("a") as allowed:
            allowed.write(f"host all all {HERE}/30 trust\n")
        command = [*self.machine, *(AWAY if str(word) == "127.0.0.1" else word for word in self.command())]
        with running(command, cwd=self.folder) as process:
            wait_until(lambda: "ready to accept connections" in process.output())
            yield


class Visitor:
    """Asks for the page again and again."""

    def __init__(self, host, *ports):
        self.process = subprocess.Popen([VE_PYTHON, Path(__file__).with_name("page.py"), host, *map(str, ports)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def asks(self):
        """(seconds, what failed) of one page."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, *failed = self.process.stdout.readline().split()
        return float(seconds), failed

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@contextmanager
def through_cbp(ports):
    """A cbp before each. Yields where they listen."""
    with ExitStack() as stack:
        each = [Cbp() for _ in ports]
        for cbp, port in zip(each, ports):
            stack.enter_context(cbp.up("-r", f"{AWAY}:{port}", "--connect", ".5", "--least", "2", "--longest", "4"))
        yield [cbp.port for cbp in each]


def row(name, pages):
    seconds = [took for took, _ in pages]
    print(f"| {name} | {sum(bool(failed) for _, failed in pages)} of {len(pages)} | "
          f"{statistics.median(seconds):.3f} s | {max(seconds):.2f} s |")


def test_flapping(services):
    """While the cable is out a page through cbp fails at once, but for the few that try; without cbp each waits for
    both timeouts. With the cable in again, it works again."""
    with through_cbp(services) as ports:
        direct, spared = Visitor(AWAY, *services), Visitor("127.0.0.1", *ports)
        print("\n| | failed | median | longest |\n|---|---|---|---|")
        visitors = {"without cbp": direct, "with cbp": spared}
        for name, visitor in visitors.items():
            pages = [visitor.asks() for _ in range(PAGES[name])]
            assert not any(failed for _, failed in pages), pages
            row(f"cable in, {name}", pages)
        ip("-n", NAME, "link", "set", "eth0", "down")
        out = {name: [visitor.asks() for _ in range(PAGES[name])] for name, visitor in visitors.items()}
        for name, pages in out.items():
            assert all(failed == ["redis", "postgres"] for _, failed in pages)
            row(f"cable out, {name}", pages)
        ip("-n", NAME, "link", "set", "eth0", "up")
        wait_until(lambda: not spared.asks()[1])
        for visitor in (direct, spared):
            visitor.close()
    assert min(seconds for seconds, _ in out["without cbp"]) >= 2
    assert statistics.median(seconds for seconds, _ in out["with cbp"]) < .5
