"""What docs/lasting.md says of logs, one process at a time."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from proc import ROOT
from slipway.lasting import AppendLog, Damaged, files


def test_a_log_is_text(tmp_path):
    log = AppendLog(tmp_path / "log")
    log.append(b'{"order": 7}')
    assert (tmp_path / "log").read_text() == '67e88f10 {"order": 7}\n' and list(AppendLog(tmp_path / "none")) == []
    with pytest.raises(ValueError, match="one line"):
        log.append(b"two\nlines")


TORN = [b"\0" * 5000, b"1", b"00000000 three", b"00000000 three\n", b"\n", b"x" * 9000 + b"\n"]


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("records", [[], [b"one", b"", b"two" * 4000]], ids=["empty", "some"])
def test_a_torn_end_is_cut_off(torn, records, tmp_path):
    log = AppendLog(tmp_path / "log")
    for record in records:
        log.append(record)
    with open(log.path, "ab") as file:
        file.write(torn)
    assert list(log) == records
    log.append(b"four")
    assert list(log) == [*records, b"four"]
    assert (tmp_path / "log").stat().st_size == sum(len(record) + 10 for record in [*records, b"four"])


def test_a_record_is_synced_before_the_next_is_written(tmp_path, monkeypatch):
    """A killed process may not have come to it: of two that are not synced a disk may keep the second alone."""
    log, called, fsync, write = AppendLog(tmp_path / "log"), [], os.fsync, os.write
    log.append(b"one")
    monkeypatch.setattr(os, "fsync", lambda number: (called.append("fsync"), fsync(number)))
    monkeypatch.setattr(os, "write", lambda number, text: (called.append("write"), write(number, text))[1])
    log.append(b"two")
    assert called == ["fsync", "write", "fsync"]


def test_what_is_damaged_is_told(tmp_path):
    """Records before it come first."""
    log = AppendLog(tmp_path / "log")
    for record in (b"one", b"two", b"three"):
        log.append(record)
    (tmp_path / "log").write_bytes((tmp_path / "log").read_bytes().replace(b"two", b"tvo"))
    found = iter(log)
    assert next(found) == b"one"
    with pytest.raises(Damaged, match=r"log is damaged at byte 13, in the record .* tvo"):
        next(found)
    log.append(b"four")
    with pytest.raises(Damaged):
        list(log)


@pytest.mark.parametrize("after, found", [("one", None), ("two", [b"one"])])
def test_a_damaged_line_break(after, found, tmp_path):
    """Before the last record it looks like an end that is torn."""
    log = AppendLog(tmp_path / "log")
    for record in (b"one", b"two", b"three"):
        log.append(record)
    (tmp_path / "log").write_text((tmp_path / "log").read_text().replace(f"{after}\n", f"{after}x"))
    if found is None:
        with pytest.raises(Damaged):
            list(log)
    else:
        assert list(log) == found


def test_a_log_that_is_moved_away_begins_anew(tmp_path):
    log = AppendLog(tmp_path / "log")
    log.append(b"one")
    os.rename(log.path, log.path + ".1")
    log.append(b"two")
    assert list(log) == [b"two"] and list(AppendLog(log.path + ".1")) == [b"one"]


def test_who_reads_waits_for_who_appends(tmp_path, monkeypatch):
    """And so sees no record that is taken back, as it could not be synced."""
    log, found, asked, fsync, wait = AppendLog(tmp_path / "log"), [], threading.Event(), os.fsync, files.wait
    log.append(b"one")
    reader = threading.Thread(target=lambda: found.extend(log))

    def waiting(*words):
        asked.set()
        wait(*words)

    def failing(number):
        if os.fstat(number).st_size > len("00000000 one\n"):
            monkeypatch.setattr(files, "wait", waiting)
            reader.start()
            assert asked.wait(10)
            raise OSError(errno.EIO, "Input/output error")
        fsync(number)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        log.append(b"two")
    reader.join(10)
    assert found == [b"one"]


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    code = ("import resource, signal, sys\nfrom slipway.lasting import AppendLog\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
            "log = AppendLog(sys.argv[1])\nlog.append(b'one')\n"
            "try: log.append(b'x' * 100)\nexcept OSError as error: print(error)\nlog.append(b'two')")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "log"], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == f"[Errno 27] File too large: '{tmp_path}/log'\n", done.stderr
    assert list(AppendLog(tmp_path / "log")) == [b"one", b"two"]
