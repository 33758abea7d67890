"""The page in a small site, before a folder or before a file system of FUSE, and gunicorn as a server has it."""

import os
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
import pytest
from proc import ROOT, free_port, running, wait_until

FOLDER = Path(__file__).resolve().parent
PATH = [str(path) for path in (ROOT, FOLDER / "site", ROOT / "companions/tapemock")]
sys.path += PATH  # slipway, the site, tapemock
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

pytest_plugins = ["tapemock.mounted"]


@pytest.fixture
def folder(tmp_path, settings):
    """The folder that the page shows."""
    made = tmp_path / "root"
    made.mkdir()
    settings.MOUNTED_ROOT, settings.MOUNTED_ANY_FOLDER = str(made), True
    return made


@pytest.fixture
def settings(monkeypatch):
    """Django's, as they were after the test."""
    from django.conf import settings

    class Settings:
        def __setattr__(self, name, value):
            monkeypatch.setattr(settings, name, value, raising=False)
    return Settings()


@pytest.fixture
def get():
    """get("/files/…") as staff, by Django's test client."""
    from django.test import Client
    client = Client(headers={"X-Staff": "1"})
    return client.get


@dataclass
class Answer:
    status: int
    text: str


class Site:
    """gunicorn with one process of four threads, at a port."""

    def __init__(self, port, process):
        self.url, self.process = f"http://127.0.0.1:{port}", process

    def open(self, path):
        request = urllib.request.Request(self.url + path, headers={"X-Staff": "1"})
        return urllib.request.urlopen(request, timeout=20)

    def get(self, path):
        try:
            with self.open(path) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())


@contextmanager
def serving(root):
    """A Site that shows that folder."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--threads=4", f"--bind=127.0.0.1:{port}",
               "--keep-alive=0", "--graceful-timeout=5", "django.core.wsgi:get_wsgi_application()"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), *PATH]), "MOUNTED_ROOT": str(root)}
    with running(command, env=env, cwd=FOLDER) as process:
        site = Site(port, process)
        wait_until(lambda: site.get("/plain").status == 200)
        yield site
