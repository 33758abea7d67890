"""What memory a second slot needs and finds, by cgroups as the kernel shows them."""

import os
from pathlib import Path

import pytest

from slipway.deploy.agent import memory
from deployer.simulated import Simulated

MB = 2**20
V1 = (":memory:", "/sys/fs/cgroup/memory", "memory.usage_in_bytes", "total_")
V2 = ("0::", "/sys/fs/cgroup", "memory.current", "")


class Server(Simulated):
    """A host with 1000 MB available, and containers of any app."""

    def __init__(self, root, cgroups):
        super().__init__(root)
        self.cgroups, self.found, self.pid = cgroups, [], 100
        self.put("/proc/meminfo", f"MemTotal: 4000000 kB\nMemAvailable:    {1000 * 1024} kB\n")

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)

    def runs(self, name, held, cache=500 * MB, processes=3):
        """A container that holds so many bytes, shared by its processes, and page cache besides."""
        one, (mark, folder, usage, total) = f"{len(self.found):064x}", self.cgroups
        path = f"/system.slice/docker-{one}.scope"
        self.found.append({"Names": ["/" + name], "Id": one})
        self.put(f"{folder}{path}/{usage}", f"{held + cache}\n")
        self.put(f"{folder}{path}/memory.stat", f"anon 1\nactive_file 7\ninactive_file 9\n{total}active_file 0\n"
                 f"{total}inactive_file {cache}\n")
        for _ in range(processes):
            self.pid += 1
            group = path + "/init.scope" * (self.pid % 2)
            self.put(f"/proc/{self.pid}/cgroup", f"12:pids:{path}\n{mark.replace(':m', '4:m')}{group}\n")
            self.put(f"/proc/{self.pid}/smaps_rollup", f"Rss: {held // 1024} kB\nPss: {held // 1024} kB\n"
                     f"Pss_Anon: {(held - MB * processes) // processes // 1024} kB\nPss_File: {cache // 1024} kB\n"
                     f"Pss_Shmem:   {MB // 1024} kB\n")

    def without_controller(self):
        """From now on no group tells what it holds, as where the kernel begins with cgroup_disable=memory."""
        mark, folder, usage, _ = self.cgroups
        for path in Path(self.root + folder).rglob("memory.*"):
            path.unlink()
        for path in Path(self.root + "/proc").glob("*/cgroup") if mark == V1[0] else ():
            path.write_text("".join(line for line in path.read_text().splitlines(True) if mark not in line))

    def look(self, live="a"):
        ours = {one["Names"][0][1:]: (one["Id"], "sha256:1", 1) for one in self.found
                if one["Names"][0].startswith("/shop-")}
        return memory.look(self, ours, self.found, live)

    def serves(self, name, live, retires=True):
        os.makedirs(f"{self.root}/run/{name}")
        os.symlink(f"{live}/web.sock", f"{self.root}/run/{name}/web.sock")
        if retires:
            self.put(f"/run/systemd/transient/{name}-retire.timer", "")


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def server(request, tmp_path):
    return Server(tmp_path / "root", request.param)


def test_a_second_slot_needs_what_the_live_one_holds(server):
    """Web and worker, without page cache; beat, which there is once, does not count, nor what processes share twice."""
    server.runs("shop-web-a", 120 * MB)
    server.runs("shop-worker-a", 80 * MB)
    server.runs("shop-beat", 60 * MB)
    assert server.look() == {"memory": 1000 * MB, "need": 200 * MB + memory.SPARE, "warm": {}}
    assert server.look("b")["need"] == memory.SPARE and server.look(None)["need"] == memory.SPARE


def test_what_the_idle_slot_holds_is_free(server):
    """A second deploy within keep_warm empties it first: it does not count as needed, and comes back."""
    server.runs("shop-web-a", 120 * MB)
    server.runs("shop-web-b", 150 * MB)
    assert server.look() == {"memory": 1150 * MB, "need": 120 * MB + memory.SPARE, "warm": {}}


def test_other_apps_warm_slots_are_named(server):
    """Not what their visitors get, nor what just boots, nor anything that is no app's slot."""
    server.serves("blog", "b")
    server.serves("big-wiki", "a")
    server.runs("blog-web-a", 100 * MB)
    server.runs("blog-worker-a", 50 * MB)
    server.runs("blog-web-b", 300 * MB)
    server.runs("big-wiki-web-b", 70 * MB)
    server.serves("coming", "a", retires=False)
    server.runs("coming-web-b", 200 * MB)
    server.runs("gone-web-b", 70 * MB)
    server.runs("redis", 900 * MB)
    assert server.look()["warm"] == {"blog": 150 * MB, "big-wiki": 70 * MB}


def test_without_a_memory_controller_the_processes_tell(server):
    """A Raspberry Pi has none: each process counts with its part of what several share, without page cache."""
    server.serves("blog", "a")
    server.runs("shop-web-a", 120 * MB)
    server.runs("shop-worker-a", 90 * MB)
    server.runs("blog-web-b", 60 * MB)
    server.without_controller()
    assert server.look() == {"memory": 1000 * MB, "need": 210 * MB + memory.SPARE, "warm": {"blog": 60 * MB}}


def test_a_kernel_that_does_not_tell(server):
    """Where a process has just ended, or nothing says what it holds, nothing is known, and nothing breaks."""
    server.runs("shop-web-a", 120 * MB)
    server.without_controller()
    for path in Path(server.root + "/proc").glob("*/smaps_rollup"):
        path.unlink()
    server.put("/proc/99/status", "")
    assert server.look() == {"memory": 1000 * MB, "need": memory.SPARE, "warm": {}}
