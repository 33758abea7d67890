"""The page where something is amiss: a visitor leaves, a search takes long, a folder fails."""

import asyncio
import os
import threading

from proc import wait_until
from test_page import content, text

from mounted import beneath, folders
from mounted.views import mount, sending


def test_a_visitor_under_asgi_who_leaves_before_the_download_begins(folder, monkeypatch):
    """Django drops the answer then, and does not close it. The places are free again, and the file is closed."""
    from django.core.handlers.asgi import ASGIHandler
    (folder / "film").write_bytes(b"film")
    asked, left, before, opened = threading.Event(), threading.Event(), os.listdir("/proc/self/fd"), beneath.file

    def file(top, path):
        asked.set()
        assert left.wait(1)
        return opened(top, path)
    monkeypatch.setattr(beneath, "file", file)

    async def visit():
        messages: asyncio.Queue = asyncio.Queue()
        await messages.put({"type": "http.request"})
        scope = {"type": "http", "method": "GET", "path": "/files/film", "headers": [(b"x-staff", b"1")]}
        visitor = asyncio.create_task(ASGIHandler()(scope, messages.get, None))
        await asyncio.to_thread(asked.wait, 10)
        await messages.put({"type": "http.disconnect"})
        async with asyncio.timeout(1):
            while not any(task.cancelling() for task in asyncio.all_tasks()):
                await asyncio.sleep(0)
        left.set()
        await visitor
    asyncio.run(visit())
    wait_until(lambda: sending._value == 2 and mount.places._value == 3, 5)
    wait_until(lambda: os.listdir("/proc/self/fd") == before, 5)


def test_a_search_of_many_empty_folders_ends_in_time(folder, get, monkeypatch):
    """There is no name in them at which it would look at the clock."""
    for number in range(5):
        (folder / f"empty{number}").mkdir()
    opened, asked, late = beneath.folder, [], lambda: len(asked) > 2

    def count(top, path):
        asked.append(path)
        return opened(top, path)
    monkeypatch.setattr(beneath, "folder", count)
    monkeypatch.setattr(folders.time, "monotonic", lambda: 100.0 if late() else 0.0)
    found = folders.searched(os.open(folder, beneath.PATH), [], "zebra", 3)
    assert len(asked) == 3 and "Not everything could be looked at" in found.part


def test_one_folder_that_cannot_be_read(tapemock, get, settings, caplog):
    """The rest is there as before, and the log says nothing of a mount that is away."""
    settings.MOUNTED_ROOT, settings.MOUNTED_ANY_FOLDER = str(tapemock.mount), False
    for name in ("bad", "good"):
        (tapemock.mount / name).mkdir()
        (tapemock.mount / name / "film").write_bytes(b"film")
    with tapemock.failing("bad*", ["opendir", "readdir", "open"], errno="EIO"):
        for path in ("/files/bad", "/files/bad/film", "/files/bad?q=film"):
            answer = get(path)
            assert answer.status_code == 503 and "This cannot be read" in answer.content.decode(), path
        said = text(get("/files/?q=film"))
        assert "good/film</a>" in said and "bad/film" not in said and "Some folders cannot be read." in said
        assert content(get("/files/good/film")) == b"film"
    with tapemock.failing("bad*", errno="EIO"):
        said = text(get("/files/"))
        assert "good</a>/" in said and "bad</a>" in said
        assert get("/files/bad").status_code == 503
    assert not mount.away and "away" not in caplog.text
    with tapemock.failing("*", errno="EIO"):
        assert "cannot be reached" in get("/files/").content.decode()
    assert mount.away and caplog.text.count("the mounted files are away") == 1
    assert "bad</a>" in text(get("/files/"))
