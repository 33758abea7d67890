"""Tests of the site on a disk that is full, broken or without power: one clear error, no half file, no corruption."""

import contextlib
import os
import shutil
import sqlite3

import pytest

from ops.served import serve
from postgresql import migrate
from proc import wait_until
from sharing import once

SETTINGS = """
ROOT_URLCONF = "failing_pages"
MEDIA_ROOT = {media!r}
DEBUG, ALLOWED_HOSTS = False, ["*"]
"""
PAGES = """
from django.contrib.auth.models import Group
from django.core.files.storage import default_storage
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

def upload(request):
    return HttpResponse(default_storage.save("film", request.FILES["film"]))

def write(request):
    return HttpResponse(Group.objects.create(name=request.GET["name"]).name)

urlpatterns = [path("upload", csrf_exempt(upload)), path("write", csrf_exempt(write))]
"""


@pytest.fixture
def disk(tmp_path, tmp_path_factory, failing_disk):
    folder = tmp_path / "data"
    (folder / "media").mkdir(parents=True)
    shutil.copy(
        once(tmp_path_factory, "migrated.sqlite3", lambda path: migrate(f"sqlite:///{path}")), folder / "db.sqlite3"
    )
    return failing_disk(folder)


@pytest.fixture
def site(disk, tmp_path):
    (tmp_path / "failing_pages.py").write_text(PAGES)
    with serve(
        tmp_path, SETTINGS.format(media=str(disk.mount / "media")), DATABASE_URL=f"sqlite:///{disk.mount}/db.sqlite3"
    ) as site:
        yield site


def post(site, path, body=b"", kind="text/plain"):
    """Return the status."""
    with contextlib.closing(site.connection()) as connection:
        connection.request("POST", path, body, {"Content-Type": kind})
        return connection.getresponse().status


def fails(site, message, *words):
    """Assert that the request fails with 500 and one error record."""
    before = len(site.process.output())
    assert post(site, *words) == 500
    wait_until(lambda: message in site.process.output()[before:], what=message)
    assert site.process.output()[before:].count(" ERROR ") == 1


@pytest.mark.parametrize("size", [100_000, 4_000_000], ids=["in memory", "in a temporary file"])
def test_an_upload_to_a_full_disk(site, disk, size):
    """A failed upload leaves nothing, and the next one succeeds."""
    head = b'--x\r\nContent-Disposition: form-data; name="film"; filename="film"\r\n\r\n'
    upload = "/upload", head + b"x" * size + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    with disk.failing("media/*", "write", errno="ENOSPC", after=50_000):
        fails(site, "No space left on device", *upload)
    with disk.failing("media/*", "create", errno="EIO"):
        fails(site, f"Input/output error: '{disk.mount}/media/", *upload)
    assert os.listdir(disk.mount / "media") == []
    assert post(site, *upload) == 200


@pytest.mark.parametrize("names", [False, True])
def test_sqlites_file_after_a_power_cut(names, site, disk):
    """The file is not corrupt and has the older commits. The last may be lost, as its log is synced now and then.

    The site ends before the disk forgets: a worker that outlived the cut would go on writing to it.
    """
    for number in range(20):
        assert post(site, f"/write?name={number}") == 200
    site.kill()
    disk.power_cut(names)
    with contextlib.closing(sqlite3.connect(disk.mount / "db.sqlite3")) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)
        there = [name for (name,) in base.execute("select name from auth_group order by id")]
    assert there == [str(number) for number in range(20)][: len(there)]
