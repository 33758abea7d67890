"""A site under load, and its mount of FUSE, which dies, hangs, and is mounted again."""

import contextlib
import http.client
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import serving
from proc import wait_until
from tapemock.mounted import mounted

GONE = "The files cannot be reached just now. Try again in a moment."
BUSY = "Too many are looking at the files just now."


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "film.mkv").write_bytes(os.urandom(3_000_000))
    return tmp_path / "disk"


@contextmanager
def dying(disk, mount):
    """A mount that ends with the block, however it is then."""
    with mounted(disk, mount) as running:
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()


@contextmanager
def visitors(site, rate=20):
    """So many a second of the page, and as many of another one; yields [(path, since when, seconds, Answer)]."""
    seen, stop = [], threading.Event()

    def visit(path):
        began = time.monotonic()
        answer = site.get(path)
        seen.append((path, began, time.monotonic() - began, answer))

    def come():
        with ThreadPoolExecutor(50) as pool:
            while not stop.wait(1 / rate):
                done.extend([pool.submit(visit, "/files/"), pool.submit(visit, "/plain")])
    done = []
    thread = threading.Thread(target=come)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    for each in done:
        each.result()


def said(site):
    """What the log has of the mount. No traceback anywhere."""
    output = site.process.output()
    assert "Traceback" not in output and "Service Unavailable" not in output
    return re.findall(r"the mounted files are \w+", output)


def back(site):
    wait_until(lambda: "film.mkv" in site.get("/files/").text, 10, "the page is back")


def judge(seen, plain):
    """All of the other page was answered, in so many seconds; of this one, each with the list or with one line."""
    slowest = max(seconds for path, _, seconds, _ in seen if path == "/plain")
    assert all(answer.status == 200 for path, _, _, answer in seen if path == "/plain")
    assert slowest < plain, slowest
    for path, _, _, answer in seen:
        assert path == "/plain" or (answer.status == 200 and "film.mkv" in answer.text) or (
            answer.status == 503 and (GONE in answer.text or BUSY in answer.text)), answer


def rest(answer):
    """How many bytes still come. Where too few do, read(n) ends as at the end, or raises."""
    count = 0
    with contextlib.suppress(ConnectionResetError, http.client.IncompleteRead):
        while block := answer.read(1_000_000):
            count += len(block)
    return count


def test_it_dies_and_is_mounted_again(disk, tmp_path):
    """One clear error, other pages as before, and it is back by itself."""
    mount = tmp_path / "mounts" / "archive"
    mount.mkdir(parents=True)
    with serving(mount) as site:
        assert site.get("/files/").status == 503, "nothing is mounted yet"
        with dying(disk, mount) as running:
            back(site)
            assert said(site) == ["the mounted files are away", "the mounted files are back"]
            with visitors(site) as seen:
                wait_until(lambda: len(seen) > 20)
                running.process.send_signal(signal.SIGKILL)
                wait_until(lambda: site.get("/files/").status == 503, 5)
                count = len(seen)
                wait_until(lambda: len(seen) > count + 40)
            assert len(said(site)) == 3
        judge(seen, 1)
        assert GONE in site.get("/files/").text and site.get("/files/film.mkv").status == 503
        with dying(disk, mount):
            back(site)
        assert said(site)[:4] == ["the mounted files are away", "the mounted files are back"] * 2


def test_it_hangs(disk, tmp_path):
    """Other pages answer at once, this one does after the first have waited in vain; then it is killed, as by the
    unit's watchdog, and mounted again."""
    mount = tmp_path / "archive"
    mount.mkdir()
    with serving(mount) as site:
        with dying(disk, mount) as running:
            back(site)
            with visitors(site) as seen:
                wait_until(lambda: len(seen) > 20)
                running.process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                wait_until(lambda: seen[-1][1] > began + 6, 30)
            judge(seen, 1)
            page = [(since - began, seconds) for path, since, seconds, _ in seen if path == "/files/"]
            assert max(seconds for _, seconds in page) < 3
            waited = [since for since, seconds in page if seconds > .5]
            assert len(waited) < 8 < len([since for since, _ in page if since > 3]), waited
        with dying(disk, mount):
            back(site)
            site.process.send_signal(signal.SIGTERM)
            site.process.wait(10)
        assert said(site)[-2:] == ["the mounted files are away", "the mounted files are back"]


def test_a_download_breaks_off(disk, tmp_path):
    """The visitor notices, the log says it in a line, and the place is free."""
    (disk / "long").write_bytes(b"x" * 100_000_000)
    mount = tmp_path / "archive"
    mount.mkdir()
    with serving(mount) as site:
        with dying(disk, mount) as running:
            back(site)
            for _ in range(2):
                with site.open("/files/long") as answer:
                    assert answer.read(1000) == b"x" * 1000
                    running.process.send_signal(signal.SIGSTOP)
                    assert 1000 + rest(answer) < int(answer.headers["Content-Length"]) == 100_000_000
                running.process.send_signal(signal.SIGCONT)
                back(site)
        said(site)
        assert site.process.output().count("a download of 'long' broke off: no answer within 2 s") == 2
