"""gunicorn's settings, as the server shows them."""

import contextlib
import os
import re
import signal
import socket
import stat
from pathlib import Path

import pytest
from ops.served import serve, short_folder

from connect import connection_to
from postgresql import migrate
from proc import ROOT, VE_PYTHON, free_port, run, running, wait_until

COMMAND = [VE_PYTHON, "-m", "gunicorn", "--config", "python:slipway.web.gunicorn"]


@pytest.fixture
def environment(sqlite_url, tmp_path):
    return {**os.environ, "DATABASE_URL": sqlite_url, "BROKER_URL": "memory://", "CACHE_URL": "locmem://",
            "TMPDIR": str(tmp_path), "WEB_CONCURRENCY": "1",
            "DJANGO_SETTINGS_MODULE": "project.settings"}


def test_from_start_to_end(environment, tmp_path):
    """SOCKET: it is there, whoever may enter its folder may connect, and TERM ends it in time with nothing left; nor
    does any process visit all that was loaded once more. What was said last is in the log."""
    (tmp_path / "counted.py").write_text(
        "from project.settings import *\n"
        "class Freed:\n    def __del__(self, say=print):\n        say('freed', flush=True)\n"
        "freed = Freed()\n")
    environment |= {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "counted"}
    with short_folder() as folder:
        path = folder / "web.sock"
        with running(COMMAND, cwd=ROOT, env={**environment, "SOCKET": str(path), "PORT": "1"}) as process:
            wait_until(lambda: asked(path) == 200)  # the file is there before anybody listens
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            assert figures(process, tmp_path)
            process.terminate()
            assert process.wait(30) == 0
            assert "Shutting down: Master" in process.output() and "freed" not in process.output()
        assert not path.exists() and not figures(process, tmp_path)


def asked(path):
    connection = connection_to(path)
    connection.request("GET", "/healthz")
    return connection.getresponse().status


def figures(process, tmp):
    """The folder of the workers' figures."""
    return [path for folder in (Path("/dev/shm"), tmp) for path in folder.glob(f"metrics-{process.pid}-*")]


def test_all_that_is_wrong_is_told_before_anything_starts(environment):
    """One line each for malformed settings of gunicorn's own; exit 64, no traceback, nothing starts."""
    done = run(COMMAND, cwd=ROOT, env={**environment, "PORT": "http", "WEB_CONCURRENCY": "0", "DRAIN": "5s"})
    told = [line.split()[:2] for line in (done.stdout + done.stderr).splitlines()]
    assert (done.returncode, told) == (64, [["settings:", name] for name in ("PORT", "WEB_CONCURRENCY", "DRAIN")])


@pytest.mark.parametrize("command", [COMMAND, [VE_PYTHON, "-m", "celery", "-A", "project", "report"]])
def test_a_settings_file_that_fails(environment, tmp_path, command):
    """An error that is no SettingsError is told with its file and line, whatever it is."""
    (tmp_path / "broken.py").write_text("\nimport no_such_module\n")
    done = run(command, cwd=ROOT, env={**environment, "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "broken"})
    told = done.stdout + done.stderr
    assert done.returncode == 1 and told.count(f'"{tmp_path}/broken.py", line 2') == 1, told


@pytest.mark.parametrize("line, code, preload", [
    ("raise RuntimeError('no ' 'app_label')", 3, "true"),
    ("raise SettingsError(['no ' 'app_label'])", 64, "true"),
    ("raise SettingsError(['no ' 'app_label'])", 3, "false")])
def test_a_project_that_cannot_be_loaded(environment, tmp_path, line, code, preload):
    """The error is one record with where it was; wrong settings are what they are elsewhere."""
    (tmp_path / "scratch_settings.py").write_text("from project.settings import *\nINSTALLED_APPS += ['broken']\n")
    (tmp_path / "broken.py").write_text(f"from slipway.env import SettingsError\n{line}\n")
    done = run(COMMAND, cwd=ROOT, env={**environment, "PYTHONPATH": str(tmp_path), "PORT": str(free_port()),
                                       "DJANGO_SETTINGS_MODULE": "scratch_settings", "WEB_PRELOAD": preload})
    told = done.stdout + done.stderr
    assert done.returncode == code and ("Listening" in told) == (preload == "false"), told
    assert told.count("no app_label") == 1, told
    for record in (" ERROR gunicorn.error [-] the project cannot be loaded", f'"{tmp_path}/broken.py", line 2'):
        assert told.count(record) == (code == 3), told


def test_a_query_when_the_urls_are_imported(site_folder, tmp_path):
    """With the database not migrated yet the site is there all the same, and its pages once it is migrated."""
    (site_folder / "querying.py").write_text(
        "from django.contrib.sessions.models import Session\nSession.objects.count()\nfrom pages import *\n")
    database = tmp_path / "db.sqlite3"
    settings = "ROOT_URLCONF = 'querying'\nDEBUG, ALLOWED_HOSTS = False, ['*']\n"  # Django's own page takes long
    with serve(site_folder, settings, DATABASE_URL=f"sqlite:///{database}") as site:
        assert "no such table" in site.process.output() and site.get("/healthz").status == 200
        assert site.get("/plain").status == 500
        migrate(f"sqlite:///{database}")
        assert site.get("/plain").body == b"plain"


def test_told_to_end_while_it_loads(environment, tmp_path):
    """A TERM is heeded, which the first process of a container would not get without a handler; nothing is left."""
    (tmp_path / "scratch_settings.py").write_text("from project.settings import *\nROOT_URLCONF = 'slow'\n")
    (tmp_path / "slow.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    env = {**environment, "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "scratch_settings", "PORT": "1"}
    with running(COMMAND, cwd=ROOT, env=env) as process:
        wait_until(lambda: "loading" in process.output())
        assert figures(process, tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert not figures(process, tmp_path)


def test_workers_end_at_different_times(environment):
    """After so many requests each, and up to half as many more: as long as all serve alike, they end in turn."""
    done = run([*COMMAND, "--print-config"], cwd=ROOT, env=environment)
    config = {name.strip(): value for name, _, value in (line.partition(" = ") for line in done.stdout.splitlines())}
    assert done.returncode == 0, done.stderr
    assert int(config["max_requests"]) == 10_000 and int(config["max_requests_jitter"]) == 5_000, config


def test_slow_clients_without_nginx(sqlite_url, site_folder):
    """Twenty who send half a request, to the site as compose.yaml has it: others are answered."""
    env = dict(re.findall(r"^ +(WEB_\w+): (\d+)$", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    with serve(site_folder, DATABASE_URL=sqlite_url, **env) as site, contextlib.ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert site.get("/healthz", connection=connection_to(site.port, timeout=10)).status == 200
