"""How many workers a container gets."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from django.test import SimpleTestCase

from ..web import capacity

MB = 2**20


class WorkersTests(SimpleTestCase):
    def test_the_least_of_three(self) -> None:
        """One more than CPUs, at most nine, and no more than the memory holds."""
        for cpus, memory, expected in ((1, None, 2), (2, None, 3), (64, None, 9), (2, 4096, 3), (8, 512, 4),
                                       (8, 699, 5), (8, 700, 6), (64, 2**40, 9)):
            with self.subTest(cpus=cpus, memory=memory):
                self.assertEqual(capacity.workers(cpus, memory and memory * MB), expected)

    def test_at_least_one(self) -> None:
        """Also where it says that there is no room for any."""
        for memory in (0, 64, 199):
            self.assertEqual(capacity.workers(2, memory * MB), 1)

    def test_without_preloading_each_takes_more(self) -> None:
        """So there are fewer."""
        self.assertEqual(capacity.workers(8, 512 * MB, preload=False), 3)


class MemoryTests(SimpleTestCase):
    def test_of_the_container(self) -> None:
        """Of cgroup 2, of cgroup 1, or none."""
        for files, expected in (({}, None), ({"memory.max": "max\n"}, None), ({"memory.max": "536870912\n"}, 512 * MB),
                                ({"memory/memory.limit_in_bytes": "268435456\n"}, 256 * MB)):
            with self.subTest(files=files), TemporaryDirectory() as folder:
                for name, text in files.items():
                    Path(folder, name).parent.mkdir(exist_ok=True)
                    Path(folder, name).write_text(text)
                with patch.object(capacity, "CGROUP", Path(folder)):
                    self.assertEqual(capacity.memory(), expected)
