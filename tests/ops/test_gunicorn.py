"""Tests of gunicorn's settings in a running server."""

import contextlib
import os
import re
import signal
import socket
import stat
import time

import pytest

from ops.served import COMMAND, answers, metrics_of, serve, short_folder
from postgresql import migrate
from proc import ROOT, VE_PYTHON, free_port, run, running, wait_until


@pytest.fixture
def environment(sqlite_url, tmp_path):
    return {
        **os.environ,
        "DATABASE_URL": sqlite_url,
        "BROKER_URL": "memory://",
        "CACHE_URL": "locmem://",
        "TMPDIR": str(tmp_path),
        "WEB_CONCURRENCY": "1",
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }


def test_from_start_to_end(environment, tmp_path):
    """With SOCKET, the socket exists, everyone who can enter its folder may connect, and TERM ends the server in time
    without leftovers. No process frees all loaded objects at its end. The last log line is written."""
    (tmp_path / "counted.py").write_text(
        "from project.settings import *\n"
        "class Freed:\n    def __del__(self, say=print):\n        say('freed', flush=True)\n"
        "freed = Freed()\n"
    )
    environment |= {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "counted"}
    with short_folder() as folder:
        path = folder / "web.sock"
        with running(COMMAND, cwd=ROOT, env={**environment, "SOCKET": str(path), "PORT": "1"}) as process:
            wait_until(lambda: answers(path))  # the file exists before anybody listens
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
            metrics = metrics_of(process)
            process.terminate()
            assert process.wait(30) == 0
            assert "Shutting down: Master" in process.output() and "freed" not in process.output()
        assert not path.exists() and not metrics.exists()


def test_all_that_is_wrong_is_told_before_anything_starts(environment):
    """Each malformed setting of gunicorn's own is reported in one line: exit 64, no traceback, and nothing starts."""
    done = run(COMMAND, cwd=ROOT, env={**environment, "PORT": "http", "WEB_CONCURRENCY": "0", "DRAIN": "5s"})
    told = [line.split()[:2] for line in (done.stdout + done.stderr).splitlines()]
    assert (done.returncode, told) == (64, [["settings:", name] for name in ("PORT", "WEB_CONCURRENCY", "DRAIN")])


@pytest.mark.parametrize("command", [COMMAND, [VE_PYTHON, "-m", "celery", "-A", "project", "report"]])
def test_a_settings_file_that_fails(environment, tmp_path, command):
    """Any error other than SettingsError is reported with its file and line."""
    (tmp_path / "broken.py").write_text("\nimport no_such_module\n")
    done = run(command, cwd=ROOT, env={**environment, "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "broken"})
    told = done.stdout + done.stderr
    assert done.returncode == 1 and told.count(f'"{tmp_path}/broken.py", line 2') == 1, told


@pytest.mark.parametrize(
    "line, code, preload",
    [
        ("raise RuntimeError('no ' 'app_label')", 3, "true"),
        ("raise SettingsError(['no ' 'app_label'])", 64, "true"),
        ("raise SettingsError(['no ' 'app_label'])", 3, "false"),
    ],
)
def test_a_project_that_cannot_be_loaded(environment, tmp_path, line, code, preload):
    """The error is one record with its location. Settings errors are reported as everywhere."""
    (tmp_path / "scratch_settings.py").write_text("from project.settings import *\nINSTALLED_APPS += ['broken']\n")
    (tmp_path / "broken.py").write_text(f"from slipway.env import SettingsError\n{line}\n")
    done = run(
        COMMAND,
        cwd=ROOT,
        env={
            **environment,
            "PYTHONPATH": str(tmp_path),
            "PORT": str(free_port()),
            "DJANGO_SETTINGS_MODULE": "scratch_settings",
            "WEB_PRELOAD": preload,
        },
    )
    told = done.stdout + done.stderr
    assert done.returncode == code and ("Listening" in told) == (preload == "false"), told
    assert told.count("no app_label") == 1, told
    for record in (" ERROR gunicorn.error [-] the project cannot be loaded", f'"{tmp_path}/broken.py", line 2'):
        assert told.count(record) == (code == 3), told


def test_a_query_when_the_urls_are_imported(site_folder, tmp_path):
    """If the database is not migrated yet, the site starts nevertheless, and its pages work after the migration."""
    (site_folder / "querying.py").write_text(
        "from django.contrib.sessions.models import Session\nSession.objects.count()\nfrom live import *\n"
    )
    database = tmp_path / "db.sqlite3"
    settings = "ROOT_URLCONF = 'querying'\nDEBUG, ALLOWED_HOSTS = False, ['*']\n"  # Django's error page is slow
    with serve(site_folder, settings, DATABASE_URL=f"sqlite:///{database}") as site:
        assert "no such table" in site.process.output() and site.get("/healthz").status == 200
        assert site.get("/plain").status == 500
        migrate(f"sqlite:///{database}")
        assert site.get("/plain").body == b"plain"


@pytest.mark.parametrize("begin", [b"", b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_an_idle_connection_does_not_delay_the_end(site_of, begin):
    """It has sent nothing yet, as a browser's spare one, or is kept after an answer. A platform would kill the site."""
    soon = "from gunicorn.workers import gthread\ngthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.1\n"  # else five seconds
    with site_of(soon, SERVER="wsgi") as site, socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(begin)
        assert not begin or connection.recv(9000).startswith(b"HTTP/1.1 200")
        time.sleep(1)  # then no thread waits for the connection any more, which nothing tells
        began = time.monotonic()
        site.process.terminate()
        assert site.process.wait(60) == 0 and time.monotonic() - began < 15


@pytest.mark.parametrize("preload", ["true", "false"])
def test_garbage_is_looked_for_in_what_requests_make(site_folder, tmp_path, preload):
    """Not while the project loads, nor among what is loaded, which workers share."""
    (site_folder / "garbage.py").write_text(
        "import gc\nfrom django.http import JsonResponse\nfrom django.urls import path\nLOADING = gc.isenabled()\n"
        "def tell(request):\n"
        "    return JsonResponse([LOADING, gc.isenabled(), gc.get_freeze_count() > 9999], safe=False)\n"
        "urlpatterns = [path('', tell)]\n"
    )
    with serve(site_folder, "ROOT_URLCONF = 'garbage'\n", WEB_PRELOAD=preload) as site:
        assert site.get("/").json() == [preload == "false", True, True]


def test_a_worker_s_first_page_imports_nothing(site_folder):
    """Its own imports would take memory of each worker, and the time of a visitor of the new release."""
    (site_folder / "imports.py").write_text(
        "import sys\nfrom django.http import JsonResponse\nfrom django.template import engines\n"
        "from django.urls import path\n"
        "def tell(request):\n"
        "    before = {*sys.modules}\n"
        "    engines['django'].from_string('{% load static %}{{ request.path }}').render({}, request)\n"
        "    return JsonResponse([name for name in sys.modules if name not in before], safe=False)\n"
        "urlpatterns = [path('', tell)]\n"
    )
    with serve(site_folder, "ROOT_URLCONF = 'imports'\n") as site:
        assert site.get("/").json() == []


def test_a_long_url(site_of):
    """The site takes the lines that nginx takes. A refused request is logged with an id of its own."""
    with site_of("", ["--threads", "1"], SERVER="wsgi") as site:
        assert site.get(f"/plain?{'x' * 8100}", {"X-Request-ID": "another-visitor"}).status == 200
        assert site.get(f"/plain?{'x' * 8200}").status in (400, 414)  # 400 before gunicorn 26.2
        wait_until(lambda: "Invalid request from" in site.process.output())
        [line] = [line for line in site.process.output().splitlines() if "Invalid request from" in line]
        assert re.search(r"\[[0-9a-f]{8}\] Invalid", line), line


def test_told_to_end_while_it_loads(environment, tmp_path):
    """TERM ends the server, although a container's first process gets no TERM without a handler. Nothing is left.

    Python handles a signal that comes just before a system call when that call has returned: the calls are short.
    """
    (tmp_path / "scratch_settings.py").write_text("from project.settings import *\nROOT_URLCONF = 'slow'\n")
    (tmp_path / "slow.py").write_text(
        "import time\nprint('loading', flush=True)\nfor _ in range(6000):\n    time.sleep(0.01)\n"
    )
    env = {**environment, "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "scratch_settings", "PORT": "1"}
    with running(COMMAND, cwd=ROOT, env=env) as process:
        wait_until(lambda: "loading" in process.output())
        metrics = metrics_of(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert not metrics.exists()


def test_a_head_is_no_news(site_of):
    """Django answers HEAD with a body. gunicorn drops it, and the log has the request's line only."""
    with site_of(SERVER="wsgi") as site:
        assert site.get("/nosuch", method="HEAD").status == 404
        told = wait_until(lambda: "HEAD /nosuch 404" in (said := site.process.output()) and said)
    assert "RFC 9110" not in told


def test_slow_clients_without_nginx(sqlite_url, site_folder):
    """While twenty clients each send half a request, other requests are answered, with compose.yaml's settings."""
    env = dict(re.findall(r"^ +(WEB_\w+): (\d+)$", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    with serve(site_folder, DATABASE_URL=sqlite_url, **env) as site, contextlib.ExitStack() as stack:
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert site.get("/healthz").status == 200
