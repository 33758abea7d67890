"""What memory a second slot needs and finds, by what the kernel shows of processes."""

import os

import pytest

from slipway.deploy.agent import memory
from deployer.simulated import Simulated

MB = 2**20


class Server(Simulated):
    """A host with 1000 MB available, and containers."""

    def __init__(self, root):
        super().__init__(root)
        self.found, self.pid = {}, 100
        self.put("/proc/meminfo", f"MemTotal: 4000000 kB\nMemAvailable:    {1000 * 1024} kB\n")

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)

    def runs(self, name, held, processes=3):
        """A container that holds so many bytes, shared by its processes, and page cache besides."""
        one = f"{len(self.found):064x}"
        self.found[name] = one, "sha256:1", 1
        for _ in range(processes):
            self.pid += 1
            self.put(f"/proc/{self.pid}/cgroup", f"0::/system.slice/docker-{one}.scope{'/init' * (self.pid % 2)}\n")
            self.put(f"/proc/{self.pid}/smaps_rollup", f"Rss: {held // 1024} kB\nPss: {held // 1024} kB\n"
                     f"Pss_Anon: {(held - MB * processes) // processes // 1024} kB\nPss_File: 512000 kB\n"
                     f"Pss_Shmem:   {MB // 1024} kB\n")

    def look(self, live="a"):
        return memory.for_slots(self, self.found, live)


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path / "root")


def test_a_second_slot_needs_what_the_live_one_holds(server):
    """Web and worker, without page cache; beat, which there is once, does not count, nor what processes share twice."""
    server.runs("shop-web-a", 120 * MB)
    server.runs("shop-worker-a", 90 * MB)
    server.runs("shop-beat", 60 * MB)
    assert server.look() == {"memory": 1000 * MB, "need": 210 * MB + memory.SPARE}
    assert server.look("b")["need"] == memory.SPARE and server.look(None)["need"] == memory.SPARE


def test_what_the_idle_slot_holds_is_free(server):
    """A second deploy within keep_warm empties it first: it does not count as needed, and comes back. Nothing is known
    of a process that has just ended."""
    server.runs("shop-web-a", 120 * MB)
    server.runs("shop-web-b", 150 * MB)
    server.runs("shop-worker-a", 120 * MB, processes=1)
    os.unlink(f"{server.root}/proc/{server.pid}/smaps_rollup")
    server.put("/proc/99/status", "")
    assert server.look() == {"memory": 1150 * MB, "need": 120 * MB + memory.SPARE}
