"""What the page shows of a folder, to whom, and what it never opens."""

import asyncio
import os
import socket
from functools import partial
from urllib.parse import quote

import pytest

from mounted import beneath, folders
from mounted.views import mount, sending


def text(response):
    assert response.status_code == 200
    return response.content.decode()


def content(response):
    """Of a download, which is closed."""
    assert response.status_code == 200, response.status_code
    try:
        return b"".join(response.streaming_content)
    finally:
        response.close()


def test_it_is_for_staff(folder):
    from django.test import Client
    (folder / "secret").write_text("s")
    for path in ("/files/", "/files/secret", "/files/?q=s"):
        answer = Client().get(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/admin/login/"), path
    assert Client(headers={"X-Staff": "1"}).post("/files/").status_code == 405


def test_a_folder_is_listed(folder, get):
    (folder / "b.txt").write_bytes(b"x" * 2048)
    (folder / "a <b>&").mkdir()
    (folder / "a <b>&" / "inner").touch()
    said = text(get("/files/"))
    assert said.index("a &lt;b&gt;&amp;</a>/") < said.index("b.txt</a>") and "2.0\xa0KB" in said
    assert 'href="/files/a%2520%253Cb%253E%2526"' in said
    assert ">inner</a>" in text(get("/files/a%2520%253Cb%253E%2526"))


def test_a_long_folder_comes_in_pages(folder, get, monkeypatch):
    monkeypatch.setattr(folders, "PAGE", 10)
    for number in range(25):
        (folder / f"file{number:02}").touch()
    assert "file09" in text(get("/files/")) and "file10" not in text(get("/files/"))
    last = text(get("/files/?page=3"))
    assert "file24" in last and "file19" not in last and 'rel="next"' not in last
    assert "Nothing here" in text(get("/files/?page=4")) and "file00" in text(get("/files/?page=-1"))
    monkeypatch.setattr(folders, "MOST", 20)
    assert "Only 20 of its names" in text(get("/files/"))


def test_a_file_is_downloaded(folder, get):
    """As an attachment that no browser runs, whatever it holds and is called."""
    (folder / "page.html").write_bytes(b"<script>" * 100_000)
    answer = get("/files/page.html")
    assert answer["Content-Type"] == "application/octet-stream" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == 'attachment; filename="page.html"'
    assert answer["Content-Length"] == "800000" and content(answer) == b"<script>" * 100_000


def test_a_head_reads_nothing(folder, get):
    from django.test import Client
    (folder / "film").write_bytes(b"film")
    answer = Client(headers={"X-Staff": "1"}).head("/files/film")
    assert answer["Content-Length"] == "4" and content(answer) == b""


def test_under_asgi(folder):
    """It is not first read into memory, as Django does with what is not asynchronous."""
    from django.test import AsyncClient
    (folder / "film").write_bytes(b"film" * 1_000_000)

    async def pieces():
        answer = await AsyncClient().get("/files/film", headers={"X-Staff": "1"})
        try:
            return answer.is_async, [len(piece) async for piece in answer.streaming_content]
        finally:
            answer.close()
    is_async, sizes = asyncio.run(pieces())
    assert is_async and sum(sizes) == 4_000_000 and len(sizes) > 10
    assert sending._value == 2 and mount.places._value == 3


@pytest.mark.parametrize("name", [b"\xff\xfe.txt", "Ø%FF".encode(), b"two\nlines", b"%2e%2e", b"back\\slash",
                                  b"a;b?c#d", b"...", b'"quoted"', b"%"])
def test_any_name_is_found_by_its_link(folder, get, name):
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write(name)
    [link] = [part.split('"')[0] for part in text(get("/files/")).split('<a href="')[2:]]
    answer = get(link)
    assert content(answer) == name and "\n" not in answer["Content-Disposition"]


@pytest.fixture
def outside(folder):
    """What lies beside the folder and in it links to that."""
    (folder.parent / "outside").mkdir()
    (folder.parent / "outside" / "secret").write_text("secret")
    (folder / "link").symlink_to(folder.parent / "outside" / "secret")
    (folder / "linked").symlink_to(folder.parent / "outside")
    (folder / "within").mkdir()
    (folder / "up").symlink_to("within")


@pytest.mark.parametrize("path", [
    "../outside/secret", "..", "within/../../outside/secret", "%252e%252e/outside/secret", "within/..%252f../secret",
    "link", "linked", "linked/secret", "up", "/etc/passwd", "//etc/passwd", "%252fetc%252fpasswd", "%2500",
    "link%2500.txt", "within%2500", ".", "within/.", "a" * 5000, "missing", "missing/more"])
def test_nothing_leads_out(folder, get, outside, path):
    for query in ("", "?q=secret"):
        answer = get("/files/" + path + query)
        assert answer.status_code == 404, path
    assert not mount.away


def test_links_are_named_and_lead_nowhere(folder, get, outside):
    said = text(get("/files/"))
    assert "<td>link</td>" in said and "<td>linked</td>" in said
    assert "secret" not in text(get("/files/?q=cret")).replace("q=", "").replace('value="cret"', "")


def test_only_files_are_opened(folder, get):
    """No pipe is waited for, even one that took a file's place after a look at it. Nothing stays open."""
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    before = os.listdir("/proc/self/fd")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(folder / "sock"))
        for name in ("pipe", "sock", "folder"):
            assert name == "folder" or get(f"/files/{name}").status_code == 404
            assert name == "folder" or f"<td>{name}</td>" in text(get("/files/"))
            with beneath.opened(os.fspath(folder), beneath.PATH) as top, pytest.raises((beneath.NoSuch, OSError)):
                mount.in_time(partial(beneath.file, top, [name.encode()]))
    assert os.listdir("/proc/self/fd") == before


def test_a_folder_that_becomes_a_link(folder, outside):
    """Once it is opened, all is beneath what it was."""
    (folder / "within" / "kept").write_text("kept")
    with beneath.opened(os.fspath(folder), beneath.PATH) as top, beneath.parent(top, [b"within", b"kept"]) as above:
        (folder / "within").rename(folder / "gone")
        (folder / "within").symlink_to(folder.parent / "outside")
        assert os.listdir(os.open(".", os.O_RDONLY, dir_fd=above)) == ["kept"]
        with pytest.raises(OSError):
            beneath.file(top, [b"within", b"secret"])


def test_search(folder, get, monkeypatch):
    (folder / "deep" / "er").mkdir(parents=True)
    for path in ("Report.TXT", "deep/report2", "deep/er/my report", "deep/other"):
        (folder / path).touch()
    said = text(get("/files/?q=REPORT"))
    assert said.index("Report.TXT</a>") < said.index("deep/report2</a>") < said.index("deep/er/my report</a>")
    assert "other" not in said and f'href="/files/deep/er/{quote("my%20report")}"' in said
    below = text(get("/files/deep?q=report"))
    assert "Report.TXT" not in below and ">er/my report</a>" in below
    assert "Nothing here" in text(get("/files/?q=zebra"))
    monkeypatch.setattr(folders, "FOUND", 2)
    assert "Only the first 2 are shown" in text(get("/files/?q=report"))
    monkeypatch.setattr("mounted.views.SEARCH", 0)
    assert "Not everything could be looked at" in text(get("/files/?q=zebra"))


def test_as_many_downloads_as_there_are_places(folder, get):
    (folder / "film").write_bytes(b"film")
    one, two = get("/files/film"), get("/files/film")
    third = get("/files/film")
    assert third.status_code == 503 and "Too many" in third.content.decode() and third["Retry-After"] == "5"
    assert "film" in text(get("/files/"))
    assert content(one) == content(two) == b"film"
    assert content(get("/files/film")) == b"film"
    two.close()
    assert sending._value == 2 and mount.places._value == 3


def test_a_file_that_becomes_shorter(folder, get):
    """The visitor is not told that he has all of it."""
    (folder / "film").write_bytes(b"film" * 1_000_000)
    answer = get("/files/film")
    os.truncate(folder / "film", 10)
    with pytest.raises(ConnectionResetError):
        content(answer)


def test_nothing_mounted_is_no_empty_folder(folder, get, settings):
    settings.MOUNTED_ANY_FOLDER = False
    assert get("/files/").status_code == 503
    settings.MOUNTED_ROOT = str(folder / "missing")
    assert get("/files/").status_code == 503
