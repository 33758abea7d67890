"""How it begins and ends, and what is left of the mount then."""

import os
import signal
import subprocess

import pytest
from calls import result
from proc import wait_until
from tapemock.mounted import Refused, ended, mounted


def test_term_unmounts_though_a_file_is_open_and_a_call_waits(tapemock):
    (tapemock.source / "f").write_text("x")
    (tapemock.source / "slow").touch()
    tapemock.ask("POST", "/faults", path="slow", delay=600)
    handle = os.open(tapemock.mount / "f", os.O_RDONLY)
    with subprocess.Popen(["cat", tapemock.mount / "slow"], stderr=subprocess.DEVNULL) as waiting:
        wait_until(tapemock.log)
        tapemock.process.terminate()
        assert tapemock.process.wait(10) == 0
        waiting.wait(10)
    assert result(os.close, handle) == "ENOTCONN"
    assert not os.path.ismount(tapemock.mount)


def test_one_that_hangs_is_killed_and_unmounted(tapemock):
    tapemock.process.send_signal(signal.SIGSTOP)
    ended(tapemock.process, tapemock.mount, .2)
    assert tapemock.process.returncode == -signal.SIGKILL and not os.path.ismount(tapemock.mount)


def test_what_one_that_was_killed_leaves_is_unmounted(tmp_path):
    with mounted(tmp_path / "source", tmp_path / "mount") as running:
        running.process.kill()
        running.process.wait()
        assert result(os.listdir, tmp_path / "mount") == "ENOTCONN"
    assert os.listdir(tmp_path / "mount") == []


def test_unmounted_by_another_it_ends(tapemock):
    subprocess.run(["fusermount3", "-u", tapemock.mount], check=True)
    assert tapemock.process.wait(10) == 0


def test_over_itself(tmp_path):
    (tmp_path / "f").write_text("x")
    with mounted(tmp_path, tmp_path) as running:
        assert os.path.ismount(tmp_path) and (tmp_path / "f").read_text() == "x"
        with running.failing("f", errno="EIO"), pytest.raises(OSError):
            (tmp_path / "f").read_text()
    assert (tmp_path / "f").read_text() == "x"


def test_one_line_says_why_it_cannot_begin(tmp_path):
    with pytest.raises(Refused, match="^tapemock: .*Cannot assign requested address$"), \
            mounted(tmp_path, tmp_path, "--http", "192.0.2.1:80"):
        pass
