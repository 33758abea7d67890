"""Tests of what views, tasks and streams raise: it is on stderr once, and has the status of an error."""

import http.client
import json
import os
import re

import pytest

from docker.test_settings_docker import LEAST
from proc import ROOT, passed, put, python

SITE = """
import logging
from celery import shared_task
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import path

class Expected(Exception):
    pass

class Frozen(Exception):
    __setattr__ = None

def parts(*lines):
    yield from lines
    raise RuntimeError("of a stream")

async def streamed():
    yield "a line"
    raise RuntimeError("of a stream")

def fail(request):
    raise Frozen("of a view")

async def async_fail(request):
    raise RuntimeError("of an async view")

def refuse(request):
    raise {"404": Http404, "403": PermissionDenied, "400": SuspiciousOperation}[request.path[1:]]

@shared_task
def task(password):
    raise RuntimeError("of a task")

@shared_task(throws=(Expected,))
def expected():
    raise Expected

def queue(request):
    task.delay("s3cret")
    expected.delay()
    return HttpResponse("queued")

urlpatterns = [
    path("fail", fail), path("async", async_fail), path("queue", queue),
    path("nothing", lambda request: StreamingHttpResponse(parts())),
    path("stream", lambda request: StreamingHttpResponse(parts("a line"))),
    path("astream", lambda request: StreamingHttpResponse(streamed())),
    *(path(status, refuse) for status in ("404", "403", "400")),
]

def handler500(request):
    if request.GET.get("then") == "fail":
        raise RuntimeError("of handler500")
    if request.GET.get("then") == "redirect":
        return HttpResponseRedirect("/")
    return HttpResponse("all is well", status=int(request.GET.get("then", 500)))
"""
# Each form in a process of its own, which begins where the settings are loaded.
ASK = """
import logging.config, os, sys, django
from django.conf import settings
settings.ROOT_URLCONF = "site_of_team"
django.setup()
from django.test import Client
for form in sys.argv[1:]:
    if not os.fork():
        exec(form)
        client = Client(raise_request_exception=False)
        for page in ("fail?key=s3cret&then=200", "async", "queue", "404", "403"):
            print(page, client.get(f"/{page}", headers={"host": "localhost"}).status_code, flush=True)
        os._exit(0)
    assert not os.wait()[1]
"""
FORMS = [
    "pass",
    "logging.config.dictConfig({'version': 1, 'root': {'handlers': []}})",
    "logging.getLogger('django').setLevel('CRITICAL'); logging.getLogger('celery').setLevel('CRITICAL')",
    "logging.disable(logging.CRITICAL)",
    "[logging.getLogger(name).addFilter(lambda record: False) for name in ('django.request', 'celery.app.trace')]",
    "logging.getLogger().handlers.clear()",
]
PLACES = [("Frozen", "fail"), ("RuntimeError", "async_fail"), ("RuntimeError", "task")]


def records(text):
    """Return the records of errors."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "ERROR"]


def places(text):
    return [(record["raised"]["type"], record["raised"]["function"]) for record in records(text)]


def in_production(folder, code, *words, settings="", **env):
    put(folder / "site_of_team.py", SITE)
    put(folder / "team/__init__.py", "")
    put(folder / "team/settings_docker.py", f"from project.settings_docker import *\n{settings}")
    env = {
        **os.environ,
        **LEAST,
        "SITE_URL": "http://localhost",
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "team.settings_docker",
        **env,
    }
    return passed(python("-c", code, *words, cwd=ROOT, env=env))


@pytest.mark.parametrize("settings", ["", "LOGGING_CONFIG = None\nMIDDLEWARE.remove('slipway.web.middleware.Metrics')"])
def test_what_is_raised_is_told_once_whatever_becomes_of_loggers(tmp_path, settings):
    """Of views and tasks. A missing page and a refusal are no errors, nor is what a task expects."""
    done = in_production(tmp_path, ASK, *FORMS, settings=settings)
    pages = ["fail?key=s3cret&then=200 500", "async 500", "queue 200", "404 404", "403 403"]
    assert done.stdout.splitlines() == pages * len(FORMS)
    assert places(done.stderr) == PLACES * len(FORMS), done.stderr
    assert "s3cret" not in done.stderr
    one, *_, of_task = records(done.stderr)
    assert (one["logger"], one["method"], one["path"], one["message"]) == (
        "django.request",
        "GET",
        "/fail",
        "Internal Server Error: /fail",
    )
    assert re.fullmatch("[0-9a-f]{32}", one["request_id"]) and "of a view" in one["exception"]
    assert re.search(r"^Task site_of_team\.task\[.+\] raised unexpected: RuntimeError", of_task["message"])


SENT = """
from django.core.signals import got_request_exception
import slipway.web.middleware
for words in ({}, {"request": None}):
    try:
        raise RuntimeError("of a command")
    except RuntimeError:
        got_request_exception.send(sender=None, **words)
"""


def test_a_team_may_send_the_signal_without_a_request(tmp_path):
    """As for an error reporter that listens to it."""
    done = in_production(tmp_path, ASK, SENT)
    assert [record["message"] for record in records(done.stderr)][:2] == ["Internal Server Error: -"] * 2


def test_development_logs_as_ever(tmp_path):
    done = in_production(tmp_path, ASK, "pass", DJANGO_SETTINGS_MODULE="project.settings")
    assert not records(done.stderr) and done.stderr.count("ERROR django.request") == 2, done.stderr


def test_a_stderr_that_fails_changes_no_answer(tmp_path):
    done = in_production(tmp_path, ASK, "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)")
    assert done.stdout.startswith("fail?key=s3cret&then=200 500\nasync 500\nqueue 200\n")


FLOW = """
import os, sys, logging, django
django.setup()
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery import signals
from celery.app import trace
from site_of_team import task
from slipway.celery import app
exec(sys.argv[1])
"""
LOST = """
log = logging.getLogger("celery.worker.request")
def lost(id):
    try:
        raise WorkerLostError("signal 9")
    except WorkerLostError:
        info = ExceptionInfo()
    signals.task_failure.send(sender=task, task_id=id, exception=info.exception, einfo=info)
    log.error("Task handler raised error: %r", info.exception, exc_info=info.exc_info)
lost("id-1")
logging.disable(logging.CRITICAL)
lost("id-2")
"""
LIMIT = """
from billiard.exceptions import TimeLimitExceeded
log = logging.getLogger("celery.worker.request")
def limit(id):
    log.error("Hard time limit (%ss) exceeded for %s[%s]", 9, "task", id)
    signals.task_failure.send(sender=task, task_id=id, exception=TimeLimitExceeded(9))
limit("id-1")
logging.disable(logging.CRITICAL)
limit("id-2")
"""


@pytest.mark.parametrize("code", [LOST, LIMIT])
def test_the_end_of_a_process_of_a_worker_is_told_once(tmp_path, code):
    """Of a lost process, and of one that exceeded its time, too: there the worker's first process tells it."""
    done = in_production(tmp_path, FLOW, code)
    first, second = records(done.stderr)
    assert "id-1" in str(first) and second["request_id"] == "id-2", done.stderr


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_page_that_raises_has_the_status_of_an_error(site_of, site_folder, server):
    """Whatever handler500 answers: nginx and metrics count errors by it. Its content stays. If handler500 fails, or a
    stream that has begun, that is one record, too, with disabled loggers."""
    put(site_folder / "site_of_team.py", SITE)
    settings = (
        "import logging\nDEBUG = False\nROOT_URLCONF = 'site_of_team'\nASGI_APPLICATION = 'slipway.asgi.application'\n"
        "LOGGING_CONFIG = 'slipway.logs.errors.configure'\nlogging.disable(logging.CRITICAL)\n"
    )
    with site_of(settings, SERVER=server) as site:
        answer = site.get("/fail?key=s3cret&then=200")
        assert (answer.status, answer.body) == (500, b"all is well")
        assert site.get("/fail?then=redirect").status == 500
        assert site.get("/404").status == 404
        assert site.figures()['http_requests_total{status="5xx"}'] == 2
        site.get("/fail?then=fail")
        stream = "astream" if server == "asgi" else "stream"
        if server == "wsgi":
            assert site.get("/nothing?key=s3cret").status == 500, "its first part fails before the answer begins"
        with pytest.raises((http.client.HTTPException, OSError)):  # the connection ends in the middle
            site.get(f"/{stream}?key=s3cret")
        site.process.terminate()
        site.process.wait(30)
        output = site.process.output()
    assert places(output) == [
        ("Frozen", "fail"),
        ("Frozen", "fail"),
        ("Frozen", "fail"),
        ("RuntimeError", "handler500"),
        *{"asgi": [("RuntimeError", "streamed")], "wsgi": [("RuntimeError", "parts")] * 2}[server],
    ], output
    assert "s3cret" not in output
