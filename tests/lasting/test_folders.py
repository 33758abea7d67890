"""What docs/lasting.md says of spools and generations, one process at a time."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import traceback

import pytest

from proc import ROOT
from slipway.lasting import Generations, Spool, generations, write_replace


@pytest.fixture
def as_nobody():
    """as_nobody(function): called with a folder of everyone's, in a process that root's rights do not help."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)

        def call(function):
            child = os.fork()
            if not child:
                try:
                    if not os.getuid():
                        os.setgroups([])
                        os.setgid(65534)
                        os.setuid(65534)
                    function(folder)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
        call.folder = folder
        yield call


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


def test_a_generation_that_cannot_be_synced_is_none(as_nobody):
    """As one of its folders cannot be read."""
    def build(folder):
        site = Generations(f"{folder}/site")
        with pytest.raises(PermissionError, match="below"), site.build() as new:
            os.mkdir(f"{new}/below", 0o300)
        assert not os.path.lexists(site.path)
    as_nobody(build)


def test_a_link_to_no_generation(tmp_path):
    (tmp_path / "site").symlink_to("site.gen/000001")
    code = ("import sys\nfrom slipway.lasting import Generations\ntry:\n"
            " with Generations(sys.argv[1]).current(): pass\nexcept FileNotFoundError as error: print(error.filename)")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "site"], cwd=ROOT, capture_output=True, text=True,
                          timeout=20)
    assert done.stdout == f"{tmp_path}/site.gen/000001\n", done.stderr


def test_what_is_no_link_is_not_replaced_by_one(tmp_path):
    (tmp_path / "site").mkdir()
    with pytest.raises(FileExistsError) as raised:
        fill(Generations(tmp_path / "site"), "one")
    assert raised.value.filename == f"{tmp_path}/site" and os.listdir(tmp_path) == ["site"]


@pytest.mark.parametrize("call, left", [("symlink", "one"), ("fsync", "two")])
def test_a_generation_that_nothing_leads_to_goes(call, left, tmp_path, monkeypatch):
    """But where the link is there, and only the folder could not be synced."""
    site, really = Generations(tmp_path / "site"), getattr(os, call)
    fill(site, "one")

    def failing(*words):
        if call == "symlink" or os.path.samestat(os.fstat(words[0]), os.stat(tmp_path)):
            raise OSError(errno.EIO, "Input/output error")
        really(*words)
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="Input/output error"):
        fill(site, "two")
    monkeypatch.undo()
    with site.current() as found:
        assert open(f"{found}/file").read() == left
    assert len(os.listdir(tmp_path / "site.gen")) == (1 if left == "one" else 2)
    assert sorted(os.listdir(tmp_path)) == ["site", "site.gen"]


def test_what_is_no_generation_stays(tmp_path):
    site = Generations(tmp_path / "site")
    for text in ("one", "two"):
        (tmp_path / "site.gen").mkdir(exist_ok=True)
        (tmp_path / "site.gen/README").write_text("theirs")
        (tmp_path / "site.gen/000009.old").mkdir(exist_ok=True)
        fill(site, text)
    assert sorted(os.listdir(tmp_path / "site.gen")) == ["000001", "000002", "README"]


def test_a_generation_that_cannot_be_removed_is_no_error(tmp_path, monkeypatch):
    """The new one is current. The next `build` removes the old one, or tells."""
    site = Generations(tmp_path / "site", keep=1)
    fill(site, "one")

    def failing(path):
        raise OSError(errno.EIO, "Input/output error")
    with monkeypatch.context() as patched:
        patched.setattr(generations.shutil, "rmtree", failing)
        fill(site, "two")
        assert (tmp_path / "site/file").read_text() == "two"
        with pytest.raises(OSError, match="Input/output error"):
            fill(site, "three")
    fill(site, "three")
    assert os.listdir(tmp_path / "site.gen") == ["000003"]


def test_another_users_unfinished_message_is_left_alone(as_nobody):
    Spool(as_nobody.folder).put("one", 0o644)
    os.close(os.open(f"{as_nobody.folder}/0-killed.new", os.O_CREAT, 0))

    def take(folder):
        with Spool(folder).take() as message:
            assert message == b"one"
        assert os.listdir(folder) == ["0-killed.new"]
    as_nobody(take)
