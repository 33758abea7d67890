"""Tests of production's settings in a process: required and refused values, and the settings derived from them."""

import contextlib
import gzip
import json
import os
import re
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connect import served
from proc import ROOT, edit, passed, python, run

KEY = "0123456789abcdef" * 4
LEAST = {"SITE_URL": "https://shop.example", "SECRET_KEY": KEY, "DATABASE_URL": "sqlite:////tmp/none.sqlite3"}


def production(*words, **env):
    """Run Python with only these variables."""
    clean = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return python(*words, cwd=ROOT, env={**clean, "DJANGO_SETTINGS_MODULE": "project.settings_docker", **env})


def check(**env):
    """Return the reported problems, one a line."""
    done = production("manage.py", "version", **env)
    assert done.returncode in (0, 64), done.stderr
    return done.stderr.splitlines()


def value(names, **env):
    """Return the settings of those names."""
    code = (
        "import json, sys; from django.conf import settings as s\n"
        "print(json.dumps([getattr(s, name) for name in sys.argv[1:]], default=str))"
    )
    return json.loads(passed(production("-c", code, *names.split(), **{**LEAST, **env})).stdout)


@pytest.mark.parametrize(
    "site, host, to",
    [
        ("https://shop.example", "shop.example", "shop.example"),
        ("https://shop.example:8443", "shop.example:1234", "shop.example:8443"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]", "[2001:db8::1]:8443"),
        ("https://shop.example:8443", "evil.example", ""),
    ],
)
def test_a_visitor_chooses_no_port(site, host, to):
    """Links that the site makes have SITE_URL's port, whatever port the visitor claims. Other hosts stay refused."""
    code = (
        "import sys, django; django.setup(); from django.test import Client\n"
        "print(Client().get('/', headers={'host': sys.argv[1]}).headers.get('Location', ''))"
    )
    done = production("-c", code, host, **{**LEAST, "SITE_URL": site})
    assert (done.returncode, done.stdout.strip()) == (0, to and f"https://{to}/"), done.stderr


def test_deploy_check():
    """Django's check for deployment finds nothing if only required variables are set."""
    done = production("manage.py", "check", "--deploy", "--fail-level=WARNING", **LEAST)
    assert done.returncode == 0 and "2 silenced" in done.stdout, done.stdout + done.stderr


def test_all_at_once():
    """All missing or malformed variables are reported at once, one a line, by name."""
    lines = check(
        SITE_URL="http://shop.example",
        SECRET_KEY="x",
        EMAIL_URL="mail",
        CACHE_URL="cache",
        TASK_TIME_LIMIT="long",
        HSTS_PRELOAD="yes",
        STATIC_URL="static",
        STORAGE_URL="bucket",
        SENTRY_DSN="dsn",
        BROKER_URL="broker",
        SECRET_KEY_FALLBACKS="old",
        METRICS_TOKEN="short",
    )
    named = [re.match(r"settings: (\w+) .*; for example \1=", line) for line in lines]
    assert all(named), lines
    assert {match[1] for match in named} == {
        "SITE_URL",
        "SECRET_KEY",
        "DATABASE_URL",
        "EMAIL_URL",
        "CACHE_URL",
        "TASK_TIME_LIMIT",
        "HSTS_PRELOAD",
        "STATIC_URL",
        "STORAGE_URL",
        "SENTRY_DSN",
        "BROKER_URL",
        "SECRET_KEY_FALLBACKS",
        "METRICS_TOKEN",
    }


ASK = """
import django, json; django.setup()
from django.db import connection
with connection.cursor() as cursor:
    said = []
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name"):
        cursor.execute(f"SHOW {name}")
        said += cursor.fetchone()
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    "role, extra, message",
    [
        ("web", {}, ["30s", "10s", "1min", "web build-42 shop.example"]),
        (
            "worker",
            {"BROKER_URL": "redis://redis/0", "TASK_TIME_LIMIT": "90"},
            ["90s", "10s", "90s", "worker build-42 shop.example"],
        ),
        ("beat", {"BROKER_URL": "redis://redis/0"}, ["30s", "10s", "1min", "beat build-42 shop.example"]),
        ("web", {"PGOPTIONS": "-c statement_timeout=5s"}, ["5s", "10s", "1min", "web build-42 shop.example"]),
        ("", {"PGOPTIONS": "-c lock_timeout=10s"}, ["0", "10s", "0", "manage build-42 shop.example"]),
        (
            "web",
            {"DATABASE_POOLER": "true", "PGOPTIONS": "-c lock_timeout=10s"},
            ["0", "0", "0", "web build-42 shop.example"],
        ),
    ],
)
def test_no_session_holds_the_database_for_ever(postgres, role, extra, message):
    """Postgres ends statements and idle transactions of web and beat after half a minute or a minute, those of a worker
    after its task limit, and those of a command never, as a migration may be long. Sessions are named."""
    url = postgres.url(postgres.database(migrated=False))
    done = passed(production("-c", ASK, **{**LEAST, "DATABASE_URL": url, "RELEASE": "build-42", "ROLE": role, **extra}))
    assert json.loads(done.stdout) == message


REDIS = {"BROKER_URL": "redis://redis/0"}
COOKIES = "SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS"
LIMITS = "CELERY_TASK_TIME_LIMIT CELERY_TASK_SOFT_TIME_LIMIT"
FOLLOWS = [
    ("PASSWORD_HASHERS", {}, [["slipway.security.hashers.Argon2", "slipway.security.hashers.PBKDF2"]]),
    ("SILENCED_SYSTEM_CHECKS", {}, [["security.W005", "security.W021"]]),
    (COOKIES, {}, [True, True, True, 31_536_000]),
    (COOKIES, {"SITE_URL": "http://localhost:8000"}, [False, False, False, 0]),
    (
        "ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS",
        {"ALLOWED_HOSTS": "www.shop.example"},
        [["shop.example", "www.shop.example"], ["https://shop.example"]],
    ),
    ("SECRET_KEY SECRET_KEY_FALLBACKS", {"SECRET_KEY_FALLBACKS": KEY[::-1]}, [KEY, [KEY[::-1]]]),
    ("ADMINS", {"ADMINS": "a@shop.example,b@shop.example"}, [[["a@shop.example"] * 2, ["b@shop.example"] * 2]]),
    (LIMITS, {}, [600, 570]),
    (LIMITS, {"TASK_TIME_LIMIT": "5"}, [5, 4]),
    ("CELERY_BROKER_TRANSPORT_OPTIONS", {**REDIS, "TASK_TIME_LIMIT": "5"}, [{"visibility_timeout": 65}]),
    (
        "SECURE_HSTS_INCLUDE_SUBDOMAINS SECURE_HSTS_PRELOAD",
        {"HSTS_SUBDOMAINS": "true", "HSTS_PRELOAD": "true"},
        [True, True],
    ),
    ("CELERY_TASK_ALWAYS_EAGER READINESS", {}, [True, {"broker": None}]),
    ("CELERY_TASK_ALWAYS_EAGER READINESS", REDIS, [False, {"broker": "slipway.celery.check_broker"}]),
    (
        "DATABASES",
        {"DATABASE_URL": "postgres://u:p@db/shop", "SERVER": "asgi", "ROLE": "web"},
        [{"default": {"CONN_MAX_AGE": 0}}],
    ),  # each request has its own thread, which would leave its session open
    (
        "DATABASES",
        {"DATABASE_URL": "postgres://u:p@db/shop", **REDIS, "SERVER": "asgi", "ROLE": "worker"},
        [{"default": {"CONN_MAX_AGE": 60}}],
    ),
    (
        "DATABASES",
        {"DATABASE_URL": "postgres://u:p@db/shop", "DATABASE_POOLER": "true", "ROLE": "web"},
        [{"default": {"CONN_MAX_AGE": 60, "DISABLE_SERVER_SIDE_CURSORS": True}}],
    ),
    (
        "STORAGES",
        {"STORAGE_URL": "database:?limit=50MB"},
        [{"default": {"BACKEND": "slipway.files.storage.DatabaseStorage", "OPTIONS": {"limit": 50_000_000}}}],
    ),
    (
        "CONTENT_SECURITY_POLICY",
        {"STATIC_URL": "https://static.example/shop"},
        [{"DIRECTIVES": {"default-src": ["'self'", "csp.constants.NONCE", "https://static.example/shop/"]}}],
    ),
]


@pytest.mark.parametrize("names, env, expected", FOLLOWS)
def test_what_follows(names, env, expected):
    """Settings follow from variables, set or not. Of a dict of settings, only the entries listed here are compared."""

    def part(result, of):
        return {name: part(result.get(name), each) for name, each in of.items()} if isinstance(of, dict) else result

    assert [part(*both) for both in zip(value(names, **env), expected, strict=False)] == expected


def test_broker_needed():
    """Worker and beat need a broker; the site does not."""
    assert check(**LEAST) == []
    for role in ("worker", "beat"):
        assert ["BROKER_URL" in line for line in check(**LEAST, ROLE=role)] == [True]


OFF = """
import sys, django; django.setup()
from django.core.mail import send_mail
client = sys.modules.get("sentry_sdk") and sys.modules["sentry_sdk"].get_client()
print(send_mail("Welcome", "text", None, ["a@b.example"]), client and client.options["release"])
"""


def test_mail_and_sentry_are_off():
    """Without EMAIL_URL no mail is sent, and the log names the unsent mail. Without a DSN Sentry is not imported; with
    one it gets the release."""
    done = production("-c", OFF, **LEAST)
    assert done.stdout == "0 None\n" and "mail not sent" in done.stderr and "Welcome" in done.stderr
    done = production("-c", OFF, **LEAST, SENTRY_DSN="http://key@127.0.0.1:9/1", RELEASE="build-42")
    assert done.stdout == "0 build-42\n", done.stderr


SIGN_IN = """
import django, logging; django.setup()
from unittest.mock import patch
from django.contrib.auth.backends import ModelBackend
from django.test import Client
import sentry_sdk
client = Client(raise_request_exception=False)
dsn = "postgres://shop:typed-5@db.example/shop"
def fails(self, request, **credentials):
    logging.getLogger("shop").warning("no answer of %s", dsn)
    raise RuntimeError(f"cannot connect to {dsn}, password=typed-6")
with patch.object(ModelBackend, "authenticate", fails):
    client.post("/accounts/login/?next=/&token=typed-3", {"login": "typed-1@a.org", "password": "typed-2"}, headers={
        "host": "localhost", "referer": "http://localhost/reset?key=typed-4", "cookie": "other=typed-7"})
client.get("/", headers={"host": "evil.example"})
sentry_sdk.flush(60)
"""


def test_sentry_learns_no_secret(postgres):
    """A failed sign-in with secrets in its form, URL, referrer and error text is one event, without these secrets. A
    request with a foreign host is no event, only a warning in the log."""
    url = postgres.url(postgres.database())
    with events() as (kept, dsn):
        env = {**LEAST, "SITE_URL": "http://localhost", "DATABASE_URL": url, "SENTRY_DSN": dsn}
        done = passed(production("-c", SIGN_IN, **env))
    text = "".join(kept)
    assert text.count("cannot connect to postgres") == 1 and "/accounts/login/" in text and "no answer of" in text, text
    assert "typed-" not in text and "evil.example" not in text, re.findall(".{99}typed-.{9}", text)
    lines = [json.loads(line) for line in done.stderr.splitlines() if "evil.example" in line]
    assert [(line["level"], "exception" in line) for line in lines] == [("WARNING", False)], lines


@contextlib.contextmanager
def events():
    """Run a stand-in for Sentry for the block. Yield the texts that it receives, and its DSN."""
    kept = []

    class Keeps(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.append((gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body).decode())
            self.send_response(200)
            self.end_headers()

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Keeps)) as server:
        yield kept, f"http://key@127.0.0.1:{server.server_port}/1"


def test_a_manage_py_of_ones_own(tmp_path):
    """An adopted project's manage.py is Django's, and a settings error also exits with one line and 64."""
    (tmp_path / "manage.py").write_text(
        "import sys\nfrom django.core import management\nmanagement.execute_from_command_line(sys.argv)\n"
    )
    done = run(
        [sys.executable, "manage.py", "migrate"],
        cwd=tmp_path,
        env={
            **LEAST,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "project.settings_docker",
            "SITE_URL": "http://hc.example",
        },
    )
    assert (done.returncode, done.stderr) == (
        64,
        "settings: SITE_URL is not https; http is allowed only for"
        " localhost; for example SITE_URL=https://shop.example\n",
    )


def test_where_uploads_are(tmp_path):
    """Uploads are in a folder, or in the database if settings_base.py sets it for all environments, with its app."""
    storages, apps = value("STORAGES INSTALLED_APPS")
    assert storages["default"]["BACKEND"].endswith("Folder") and "slipway.files" not in apps
    for folder in ("project", "slipway"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    edit(tmp_path / "project/settings_base.py", 'env.storage("STORAGE_URL")', 'env.storage("STORAGE_URL", "database:")')
    for kind in ("", "_docker", "_test"):
        code = (
            "from django.conf import settings as s\n"
            "print(s.STORAGES['default'], s.INSTALLED_APPS.count('slipway.files'))"
        )
        env = {**LEAST, "PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": f"project.settings{kind}"}
        done = python("-c", code, cwd=tmp_path, env=env)
        assert "DatabaseStorage" in done.stdout and done.stdout.endswith(" 1\n"), done.stderr
