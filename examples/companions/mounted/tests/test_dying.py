"""A site under load whose FUSE mount hangs, dies, and is mounted again."""

import contextlib
import http.client
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mounted.in_time import MOST, PLACES, Late, Mount
from tapemock.mounted import mounted

from conftest import serving
from proc import wait_until


def visited(ask, seconds):
    """Visit /files/ and /plain 20 times a second each; return a list of (path, status, text, seconds)."""

    def visit(path):
        began, answer = time.monotonic(), ask(path)
        return path, answer.status, answer.read(), time.monotonic() - began

    with ThreadPoolExecutor(50) as pool:
        visits = []
        for _ in range(20 * seconds):
            visits += [pool.submit(visit, path) for path in ("/files/", "/plain")]
            time.sleep(1 / 20)
        return [each.result() for each in visits]


def test_it_hangs_dies_and_is_mounted_again(tmp_path):
    """Other pages answer quickly. The mount's page reports the error, mostly at once, and recovers by itself."""
    (tmp_path / "archive").mkdir()
    with serving(tmp_path / "archive") as (ask, process):
        assert ask("/files/").status == 503, "nothing is mounted yet"
        with mounted(tmp_path / "disk", tmp_path / "archive") as running:
            wait_until(lambda: ask("/files/").status == 200)
            running.process.send_signal(signal.SIGSTOP)
            seen = visited(ask, 6)
            running.process.kill()
        with mounted(tmp_path / "disk", tmp_path / "archive"):
            wait_until(lambda: ask("/files/").status == 200)
            output = process.output()
    assert all(status == 200 and seconds < 15 for path, status, _, seconds in seen if path == "/plain")
    page = [one[1:] for one in seen if one[0] == "/files/"]
    assert all(status == 503 and b" just now. Try again" in text for status, text, _ in page)
    assert len([seconds for *_, seconds in page if seconds > 1.9]) < len(page) / 4
    assert re.findall(r"the mounted files are (\w+)", output) == ["unavailable", "available"] * 2
    assert "Traceback" not in output and "Service Unavailable" not in output


def test_a_download_breaks_off(tmp_path):
    """The visitor gets too few bytes, the log has one line, and the request's place is free again."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/film").write_bytes(b"x" * 100_000_000)
    with mounted(tmp_path / "disk", tmp_path / "archive") as running, serving(tmp_path / "archive") as (ask, process):
        for _ in range(PLACES + 1):
            wait_until(lambda: ask("/files/").status == 200)
            with ask("/files/film") as answer:
                count = len(answer.read(1000))
                running.process.send_signal(signal.SIGSTOP)
                with contextlib.suppress(ConnectionResetError, http.client.IncompleteRead):
                    while block := answer.read(1_000_000):
                        count += len(block)
                assert count < int(answer.headers["Content-Length"]) == 100_000_000
            running.process.send_signal(signal.SIGCONT)
        assert process.output().count("a download of 'film' stopped early: no answer within 2 s") == PLACES + 1


def test_calls_that_hang_do_not_add_up():
    """At most MOST threads hang; each ends once its call returns. Further calls fail without waiting."""
    mount, gate = Mount(), threading.Event()
    for _ in range(3 * MOST):
        with pytest.raises(Late):
            mount.in_time(gate.wait, 0.05)
    assert len(mount.calls) == MOST and [mount.take_place() for _ in range(PLACES + 1)] == [True] * PLACES + [False]
    with pytest.raises(Late):
        mount.call(gate.wait)
    gate.set()
    wait_until(lambda: not mount.calls)
