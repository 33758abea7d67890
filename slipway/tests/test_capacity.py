"""Tests of how many workers a container gets."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from django.test import SimpleTestCase

from ..web import capacity

MB = 2**20


class CapacityTests(SimpleTestCase):
    def test_workers(self) -> None:
        """There is one worker more than CPUs, at most nine and no more than fit into memory, but at least one. Without
        preloading fewer fit."""
        for cpus, memory, preload, expected in (
            (1, None, True, 2),
            (2, None, True, 3),
            (64, None, True, 9),
            (2, 4096, True, 3),
            (8, 512, True, 4),
            (8, 699, True, 5),
            (8, 700, True, 6),
            (64, 2**40, True, 9),
            (2, 0, True, 1),
            (2, 199, True, 1),
            (8, 512, False, 3),
        ):
            with self.subTest(cpus=cpus, memory=memory):
                self.assertEqual(capacity.workers(cpus, memory and memory * MB, preload), expected)

    def test_of_the_container(self) -> None:
        """Limits come from the files of cgroup 2 or cgroup 1. Without them there are four CPUs and no memory limit."""
        for files, memory, cpus in (
            ({}, None, 4),
            ({"memory.max": "max\n", "cpu.max": "max 100000\n"}, None, 4),
            ({"memory.max": "536870912\n", "cpu.max": "150000 100000\n"}, 512 * MB, 2),
            (
                {
                    "memory/memory.limit_in_bytes": "268435456\n",
                    "cpu/cpu.cfs_quota_us": "50000\n",
                    "cpu/cpu.cfs_period_us": "100000\n",
                },
                256 * MB,
                1,
            ),
            ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 4),
        ):
            with self.subTest(files=files), TemporaryDirectory() as folder:
                for name, text in files.items():
                    Path(folder, name).parent.mkdir(exist_ok=True)
                    Path(folder, name).write_text(text)
                with (
                    patch.object(capacity, "CGROUP", Path(folder)),
                    patch("slipway.web.capacity.os.sched_getaffinity", lambda _: range(4), create=True),
                ):
                    self.assertEqual((capacity.memory(), capacity.cpus()), (memory, cpus))
