"""What docs/lasting.md says of each primitive, one process at a time."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from proc import ROOT
from slipway.lasting import AppendLog, Damaged, Generations, LockedOpen, Spool, files, opened, write_replace


def test_a_file_has_its_mode_and_any_bytes(tmp_path):
    """Whatever the umask; a link is replaced, not followed; a link beside it neither."""
    (tmp_path / "elsewhere").write_text("theirs")
    for name in ("file", "file.new"):
        (tmp_path / name).symlink_to("elsewhere")
    write_replace(tmp_path / "file", b"\xff\n", 0o666)
    assert (tmp_path / "file").read_bytes() == b"\xff\n" and not (tmp_path / "file").is_symlink()
    assert os.stat(tmp_path / "file").st_mode & 0o7777 == 0o666
    assert (tmp_path / "elsewhere").read_text() == "theirs" and len(os.listdir(tmp_path)) == 2


def test_a_file_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_replace("file", "text")
    AppendLog("log").append(b"one")
    assert (tmp_path / "file").read_text() == "text" and list(AppendLog("log")) == [b"one"]


def test_a_write_names_its_file(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write_replace(tmp_path / "none/file", "text")
    assert raised.value.filename == f"{tmp_path}/none/file.new"


def test_a_write_that_fails_leaves_that_of_another_alone(tmp_path, monkeypatch):
    """Who has its name, and cannot sync the folder, may have the next one's file beside it."""
    def failing(folder):
        (tmp_path / "file.new").write_text("the next")
        raise OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(files, "sync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_replace(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text" and (tmp_path / "file.new").read_text() == "the next"


@pytest.mark.parametrize("mode, starts, written", [
    ("r+", "old", "new"), ("a", "", "oldnew"), ("a+", "old", "oldnew"), ("w", "", "new"), ("w+", "", "new"),
    ("r", "old", "old")])
def test_modes(mode, starts, written, tmp_path):
    (tmp_path / "file").write_text("old")
    with LockedOpen(tmp_path / "file", mode) as file:
        if mode.endswith("+") or mode == "r":
            file.seek(0)
            assert file.read() == starts
        if mode != "r":
            file.seek(0)
            file.write("new")
    assert (tmp_path / "file").read_text() == written


def test_what_a_locked_file_is_not(tmp_path):
    with pytest.raises(ValueError, match="no mode 'x'"):
        LockedOpen(tmp_path / "file", "x")
    with pytest.raises(FileNotFoundError), LockedOpen(tmp_path / "file"):
        pass
    with LockedOpen(tmp_path / "file", "wb") as file:
        file.write(b"text")
    assert (tmp_path / "file").read_bytes() == b"text"


def test_a_lock_is_waited_for_as_long_as_told(tmp_path):
    """By another thread, too. Those that are shared exclude none of each other."""
    path = tmp_path / "file"
    path.touch()
    with LockedOpen(path, "r"):
        for shared in (False, True):
            with pytest.raises(TimeoutError, match="another process has it locked") as raised:
                LockedOpen(path, "w", timeout=0.05, shared=shared).__enter__()
            assert raised.value.filename == str(path)
    with LockedOpen(path, shared=True), LockedOpen(path, shared=True, timeout=0):
        with pytest.raises(TimeoutError):
            LockedOpen(path, timeout=0).__enter__()
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    with LockedOpen(path, timeout=0):
        pass
    assert before is None or os.listdir("/proc/self/fd") == before


def test_who_waits_gets_the_file_that_is_there_then(tmp_path, monkeypatch):
    path, looks, found = tmp_path / "file", threading.Event(), []
    path.write_text("old")
    wait = files.wait

    def waiting(*words):
        looks.set()
        wait(*words)

    def read():
        with LockedOpen(path, "r") as file:
            found.append(file.read())
    with LockedOpen(path):
        monkeypatch.setattr(files, "wait", waiting)
        thread = threading.Thread(target=read)
        thread.start()
        assert looks.wait(10)
        monkeypatch.undo()
        write_replace(path, "new")
    thread.join(10)
    assert found == ["new"]


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


def test_messages_come_in_their_order(tmp_path):
    """One whose block raises is there for the next."""
    spool = Spool(tmp_path / "spool")
    for text in ("one", "two"):
        spool.put(text)
    with pytest.raises(ZeroDivisionError), spool.take() as first:
        assert first == b"one"
        with spool.take() as second:
            assert second == b"two"
        with spool.take() as third:
            assert third is None
        1 / 0
    with spool.take() as again:
        assert again == b"one"
    assert os.listdir(tmp_path / "spool") == []


def test_a_message_of_a_killed_process_is_there_at_once(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.put("one")
    code = ("import sys, time\nfrom slipway.lasting import Spool\n"
            "with Spool(sys.argv[1]).take() as message:\n print(message, flush=True)\n time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, spool.folder], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"b'one'\n"
        with spool.take() as message:
            assert message is None
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with spool.take() as message:
        assert message == b"one"


def fill(site, text):
    with site.build() as new:
        write_replace(f"{new}/file", text)


def test_a_generation_stays_for_who_reads_it(tmp_path):
    site = Generations(tmp_path / "site", keep=1)
    with pytest.raises(FileNotFoundError), site.current():
        pass
    fill(site, "one")
    with site.current() as first:
        for text in ("two", "three"):
            fill(site, text)
        assert open(f"{first}/file").read() == "one"
        assert (tmp_path / "site/file").read_text() == "three"
        assert sorted(os.listdir(tmp_path / "site.gen")) == ["000001", "000003"]
    fill(site, "four")
    assert os.listdir(tmp_path / "site.gen") == ["000004"] and os.readlink(tmp_path / "site") == "site.gen/000004"


def test_what_is_not_built_is_not_there(tmp_path):
    site = Generations(tmp_path / "site")
    fill(site, "one")
    with pytest.raises(ZeroDivisionError), site.build() as new:
        write_replace(f"{new}/file", "two")
        1 / 0
    assert (tmp_path / "site/file").read_text() == "one" and os.listdir(tmp_path / "site.gen") == ["000001"]
    with pytest.raises(ValueError):
        Generations(tmp_path / "site", keep=0)


def test_a_lock_stays_through_replaces(tmp_path):
    """Whoever waits gets the last one, once the block has ended. Nothing stays open or beside it."""
    path, numbers = tmp_path / "file", os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else None
    path.write_text("old")
    with (lock := LockedOpen(path)) as file:
        assert file.read() == "old"
        for text in ("one", "two"):
            lock.replace(text, 0o600)
            assert path.read_text() == text and os.stat(path).st_mode & 0o777 == 0o600
            with pytest.raises(TimeoutError):
                LockedOpen(path, timeout=0).__enter__()
    with LockedOpen(path, timeout=0) as file:
        assert file.read() == "two"
    assert os.listdir(tmp_path) == ["file"]
    assert numbers is None or os.listdir("/proc/self/fd") == numbers


def test_a_replace_that_fails_may_be_tried_again(tmp_path, monkeypatch):
    """In the same block, which has the lock, also where the file has its name but the folder is not synced."""
    path, sync = tmp_path / "file", opened.sync

    def failing(*words):
        raise OSError(errno.EIO, "Input/output error")
    path.touch()
    with (lock := LockedOpen(path)):
        for name, there in (("rename", ""), ("fsync", ""), (None, "text")):
            with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output error"):
                patched.setattr(*((os, name) if name else (opened, "sync")), failing)
                lock.replace("text")
            assert path.read_text() == there and os.listdir(tmp_path) == ["file"]
            with pytest.raises(TimeoutError):
                LockedOpen(path, timeout=0).__enter__()
        assert opened.sync is sync
        lock.replace("new")
    assert path.read_text() == "new"


def test_a_child_forked_meanwhile_keeps_no_new_file_locked(tmp_path, monkeypatch):
    """Another thread's, which has the number of each open file."""
    waits, ends = os.pipe()
    children, fsync = [], os.fsync

    def forking(number):
        if not children:
            children.append(os.fork())
            if not children[0]:
                os.close(ends)
                os.read(waits, 1)
                os._exit(0)
        fsync(number)
    monkeypatch.setattr(os, "fsync", forking)
    write_replace(tmp_path / "file", "text")
    with contextlib.ExitStack() as stack:
        stack.callback(os.waitpid, children[0], 0)
        stack.callback(os.close, ends)
        stack.callback(os.close, waits)
        with LockedOpen(tmp_path / "file", timeout=0) as file:
            assert file.read() == "text"


def test_what_is_no_text_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_replace(tmp_path / "file", "\ud800")
    assert os.listdir(tmp_path) == []
