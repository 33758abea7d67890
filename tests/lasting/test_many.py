"""50 processes at once."""

import contextlib
import os
import traceback

import pytest

from slipway.lasting import AppendLog, Generations, LockedOpen, Spool, files, write_replace

MANY = 50


def at_once(function, many=MANY):
    """Call it in so many processes, with their numbers; none may fail."""
    waits, starts = os.pipe()
    children = []
    for number in range(many):
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.close(starts)
                os.read(waits, 1)
                try:
                    function(number)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
            os._exit(1)
        children.append(child)
    os.close(waits)
    os.close(starts)
    assert {os.waitpid(child, 0)[1] for child in children} == {0}


def read(path):
    with open(path) as file:
        return file.read()


def text(number):
    return f"{number:04} " * 10_000


def test_writers_of_one_file(tmp_path):
    """Who reads it meanwhile finds what one of them has written; nothing is left beside it."""
    path = str(tmp_path / "file")
    write_replace(path, text(MANY))

    def use(number):
        for _ in range(4):
            write_replace(path, text(number))
            found = read(path)
            assert found == text(int(found[:4]))
    at_once(use)
    assert os.listdir(tmp_path) == ["file"]


def counted(path, replaces):
    """The sum of what 50 processes add, 5 each, under the lock; every other time the file is `replaced`."""
    write_replace(path, "0")

    def use(number):
        for turn in range(5):
            with (lock := LockedOpen(path)) as file:
                value = str(int(file.read()) + 1)
                if (number + turn) % 2 and replaces:
                    lock.replace("0")
                    lock.replace(value)
                else:
                    file.seek(0)
                    file.write(value)
                    file.truncate()
    at_once(use)
    return int(read(path))


@pytest.mark.parametrize("replaces", [False, True])
def test_a_count_under_a_lock(replaces, tmp_path):
    assert counted(str(tmp_path / "file"), replaces) == 5 * MANY


def test_a_lock_that_does_not_look_again_loses_some(tmp_path, monkeypatch):
    """The test above shows it: without a look at what the path names by now it fails."""
    is_at = files.is_at
    monkeypatch.setattr(files, "is_at", lambda number, path: path.endswith("/file") or is_at(number, path))
    assert counted(str(tmp_path / "file"), True) < 5 * MANY


def test_appends(tmp_path):
    """All are there, each one's in its order; who reads meanwhile finds no half of one."""
    log = AppendLog(tmp_path / "log")

    def use(number):
        for turn in range(6):
            log.append(b"%d %d %s" % (number, turn, b"x" * 3000))
            assert all(len(record) > 3000 for record in log)
    at_once(use)
    found = [tuple(map(int, record.split()[:2])) for record in log]
    assert sorted(found) == [(number, turn) for number in range(MANY) for turn in range(6)]
    assert all([turn for one, turn in found if one == number] == list(range(6)) for number in range(MANY))


def test_each_message_is_taken_once(tmp_path):
    """While as many put some."""
    spool, done = Spool(tmp_path / "spool"), AppendLog(tmp_path / "done")

    def use(number):
        for turn in range(3):
            spool.put(f"{number} {turn}")
        while True:
            with spool.take() as message:
                if message is None:
                    return
                done.append(message)
    at_once(use)
    at_once(use, 1)  # at the end one may have held the last of the others'
    assert sorted(done) == sorted([b"%d %d" % (number, turn) for number in range(MANY) for turn in range(3)]
                                  + [b"0 %d" % turn for turn in range(3)])
    assert os.listdir(tmp_path / "spool") == []


def test_generations(tmp_path):
    """Each that is current is whole, and stays as long as it is read."""
    site = Generations(tmp_path / "site")

    def use(number):
        with site.build() as new:
            for name in range(3):
                write_replace(f"{new}/{name}", str(number))
        for _ in range(3):
            with site.current() as now:
                assert len({read(f"{now}/{name}") for name in range(3)}) == 1
    at_once(use)
    with site.build() as new:
        assert new.endswith(f"/{MANY + 1:06}.new")
    assert sorted(os.listdir(tmp_path / "site.gen")) == [f"{MANY:06}", f"{MANY + 1:06}"]
