"""Nothing is lost by a power cut but what was not synced, whatever goes wrong: without a mount."""

import os
import random
import stat
import tempfile
from pathlib import Path

import pytest
from calls import as_nobody, result


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """(a Mock of source/, that is not mounted yet, kept/file): the program is in kept/, as libfuse goes to /."""
    monkeypatch.setenv("FUSE_LIBRARY_NAME", "fuse3")
    from tapemock.mock import Mock
    for name in ("source", "copies", "kept"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept/file").write_text("kept")
    monkeypatch.chdir(tmp_path)  # where the test ends
    mock = Mock(str(tmp_path / "source"), random.Random(), copies=str(tmp_path / "copies"))
    os.chdir(tmp_path / "kept")
    yield mock, tmp_path / "kept/file"
    os.close(mock.folder)
    mock.disk.folder.cleanup()


@pytest.mark.parametrize("mounted", [False, True])
def test_nothing_but_its_directory_is_ever_emptied(mounted, elsewhere):
    """libfuse goes to / before it says that it is mounted, and HTTP is answered by then."""
    from tapemock.faults import Wrong
    mock, kept = elsewhere
    if mounted:
        mock.mounted.set()
    with pytest.raises(Wrong, match="it is not mounted yet" if not mounted else "is not the directory"):
        mock.power_cut(False)
    assert kept.read_text() == "kept"


@pytest.fixture
def nobodys(monkeypatch):
    """ask(call): what it returns or raises, in a process of a user who owns the directory that the test works in:
    shut/file is in one that he may not write to. And a directory for copies."""
    monkeypatch.setenv("FUSE_LIBRARY_NAME", "fuse3")
    with tempfile.TemporaryDirectory() as top:
        monkeypatch.chdir(top)
        for name in ("source", "copies", "source/shut"):
            os.mkdir(name)
        Path("source/shut/file").write_text("kept")
        if os.geteuid() == 0:
            for name in (".", *map(str, Path(".").rglob("*"))):
                os.chown(name, 65534, 65534)
        os.chmod("source/shut", 0o500)
        os.chdir("source")
        yield (as_nobody if os.geteuid() == 0 else result), f"{top}/copies"
        os.chdir("/")
        os.chmod(f"{top}/source/shut", 0o700)


def test_who_is_not_root_gets_all_back(nobodys):
    """From a directory that he may not write to, too."""
    from tapemock.power import Disk
    ask, copies = nobodys
    said = ask(lambda: Disk(copies).cut(False))
    assert str(said) == "None" and Path("shut/file").read_text() == "kept"
    assert stat.S_IMODE(os.stat("shut").st_mode) == 0o500


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
@pytest.mark.parametrize("uid, gid", [(0, 65534), (65534, 0)])
def test_what_only_root_could_restore_is_refused_at_the_beginning(uid, gid, nobodys):
    from tapemock.power import Disk
    ask, copies = nobodys
    os.chown("shut/file", uid, gid)
    assert "EPERM" in ask(lambda: Disk(copies))
    assert Path("shut/file").read_text() == "kept"
