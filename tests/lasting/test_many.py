"""Tests of slipway/lasting with 30 processes at once."""

import multiprocessing
import os
from pathlib import Path

from slipway.lasting import LockedOpen, write_replace

MANY = 30


def at_once(function):
    """Call the function in MANY processes, each with its number. None may fail."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(MANY)

    def use(number):
        barrier.wait(60)
        function(number)

    processes = [context.Process(target=use, args=[number]) for number in range(MANY)]
    for call in (context.Process.start, context.Process.join):
        for process in processes:
            call(process)
    assert {process.exitcode for process in processes} == {0}


def test_writers_of_one_file(tmp_path):
    """A reader always finds the complete text of one writer, and nothing is left beside the file."""
    path, text = str(tmp_path / "file"), "{:04} ".format
    write_replace(path, text(MANY) * 10_000)

    def use(number):
        for _ in range(4):
            write_replace(path, text(number) * 10_000)
            found = Path(path).read_text()
            assert found == found[:5] * 10_000

    at_once(use)
    assert os.listdir(tmp_path) == ["file"]


def test_a_count_under_a_lock(tmp_path):
    """The count is the sum, 5 per process. Every other time the file is replaced, and waiting processes reopen it."""
    path = str(tmp_path / "file")
    write_replace(path, "0")

    def use(number):
        for turn in range(5):
            with (lock := LockedOpen(path)) as file:
                value = str(int(file.read()) + 1)
                if (number + turn) % 2:
                    lock.replace("0")
                    lock.replace(value)
                else:
                    file.seek(0)
                    file.write(value)
                    file.truncate()

    at_once(use)
    assert int(Path(path).read_text()) == 5 * MANY
