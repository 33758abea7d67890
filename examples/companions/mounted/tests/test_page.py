"""Tests of the page: its listing, its downloads, its visitors, and the paths that it refuses."""

import asyncio
import contextlib
import os
import socket

import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from mounted import beneath
from mounted.views import mount

from proc import wait_until


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Yield the folder that the page shows. In the end all places must be free and all files closed."""
    monkeypatch.setattr(settings, "MOUNTED_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(settings, "DEBUG", True)
    (tmp_path / "root").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    yield tmp_path / "root"
    wait_until(lambda: mount.places._value == 3 and len(os.listdir("/proc/self/fd")) <= before + 1)  # one is asyncio's


@pytest.fixture
def get():
    """Return a function that gets a path as staff, by Django's test client."""
    return Client(headers={"X-Staff": "1"}).get


def shown(response):
    """Return an answer's content, and close it."""
    with contextlib.closing(response):
        assert response.status_code == 200, response.status_code
        return b"".join(response.streaming_content) if response.streaming else response.content.decode()


def test_it_is_for_staff(folder, get):
    answer = get("/files/", headers={"X-Staff": ""})
    assert answer.status_code == 302 and answer["Location"].startswith("/admin/login/")


def test_a_folder_is_listed(folder, get, monkeypatch):
    (folder / "b.txt").write_bytes(b"x" * 2048)
    (folder / "a <b>&").mkdir()
    (folder / "a <b>&" / "inner").touch()
    said = shown(get("/files/"))
    assert said.index("a &lt;b&gt;&amp;</a>/") < said.index("b.txt</a>") and "2.0\xa0KB" in said
    assert 'href="/files/a%2520%253Cb%253E%2526"' in said
    assert ">inner</a>" in shown(get("/files/a%2520%253Cb%253E%2526"))
    monkeypatch.setattr(beneath, "PAGE", 1)
    assert "b.txt" not in shown(get("/files/")) and "b.txt" in shown(get("/files/?page=2"))
    monkeypatch.setattr(beneath, "MOST", 1)
    assert "Only 1 of its names" in shown(get("/files/"))


def test_a_file_is_downloaded(folder, get):
    """A download is an attachment that no browser runs, whatever its content and name."""
    (folder / "page.html").write_bytes(b"<script>" * 100_000)
    answer = get("/files/page.html")
    assert answer["Content-Type"] == "application/octet-stream" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == 'attachment; filename="page.html"'
    assert answer["Content-Length"] == "800000" and shown(answer) == b"<script>" * 100_000
    answer = get("/files/page.html")
    os.truncate(folder / "page.html", 10)
    with pytest.raises(ConnectionResetError):
        shown(answer)  # otherwise the visitor would think that it is complete


def test_under_asgi(folder):
    """A download is not read into memory first, as Django does with a plain iterator."""
    (folder / "film").write_bytes(b"film" * 1_000_000)

    async def pieces():
        answer = await AsyncClient().get("/files/film", headers={"X-Staff": "1"})
        assert answer.is_async
        return [len(piece) async for piece in answer.streaming_content]

    assert sum(asyncio.run(pieces())) == 4_000_000


@pytest.mark.parametrize("name", [b"\xff\xfe.txt", "Ø%FF".encode(), b"two\nlines", b"a;b?c#d", b"...", b'"quoted"'])
def test_any_name_is_found_by_its_link(folder, get, name):
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write(name)
    answer = get(shown(get("/files/")).split('<a href="')[2].split('"')[0])
    assert shown(answer) == name and "\n" not in answer["Content-Disposition"]


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret",
        "..",
        "within/../../outside/secret",
        "%252e%252e/outside/secret",
        "within/..%252f../secret",
        "link",
        "linked",
        "linked/secret",
        "/etc/passwd",
        "%252fetc%252fpasswd",
        "%2500",
        "link%2500.txt",
        ".",
        "a" * 5000,
        "missing/more",
        "pipe",
        "sock",
    ],
)
def test_nothing_leads_out_and_only_files_are_opened(folder, get, path):
    """The page does not wait for a pipe. It lists links, but does not follow them."""
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside/secret").touch()
    (folder / "link").symlink_to("../outside/secret")
    (folder / "linked").symlink_to("../outside")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(folder / "sock"))
        assert get("/files/" + path).status_code == 404
    assert "<td>link</td>" in shown(get("/files/")) and not mount.away
