"""Tests of a team's own settings as in docs/settings.md."""

import ast
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from proc import ROOT, append, edit, passed, python
from slipway.settings import versions

PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "project.settings_docker",
    "SITE_URL": "http://localhost",
    "SECRET_KEY": "0123456789abcdef" * 4,
    "DATABASE_URL": "sqlite://:memory:",
}
OWN, MORE = re.findall(r"```python\n(.*?)```", (ROOT / "docs/settings.md").read_text(), re.DOTALL)
SHOW = "from django.conf import settings as s; print(s.STRIPE_KEY, s.SHOP_WAREHOUSES, s.SHOP_RETRIES, s.SHOP_RATE)"


@pytest.fixture
def shop(tmp_path):
    """Return a copy of the project with the checkout's virtualenv and the settings of docs/settings.md."""
    path = tmp_path / "a shop"
    for name in ("project", "slipway"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", path)
    (path / "ve").symlink_to(ROOT / "ve")
    append(path / "project/settings_base.py", f"\nfrom decimal import Decimal\n\n{OWN}")
    return path


def asked(shop, **env):
    return python("-c", SHOW, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", **env})


@pytest.mark.parametrize(
    "environment", [{}, {"DJANGO_SETTINGS_MODULE": "project.settings_test"}, {**PRODUCTION, "IMAGE_BUILD": "1"}]
)
def test_own_settings_need_nothing(shop, environment):
    """In development, tests and the build, a required setting that is not set has its example's value."""
    assert asked(shop, **environment).stdout == "sk_test_1 [] 3 1.19\n"


def test_own_settings_come_from_everywhere(shop):
    """In development .env counts, and the environment wins; a value may be in a file. Elsewhere .env is not read."""
    (shop / ".env").write_text("STRIPE_KEY=sk_of_env\nSHOP_RETRIES=7\n")
    (shop / "key").write_text("sk_of_file\n")
    assert asked(shop, SHOP_WAREHOUSES="a, b", SHOP_RETRIES="5").stdout == "sk_of_env ['a', 'b'] 5 1.19\n"
    in_tests = asked(shop, DJANGO_SETTINGS_MODULE="project.settings_test", STRIPE_KEY_FILE=str(shop / "key"))
    assert in_tests.stdout == "sk_of_file [] 3 1.19\n"
    production = asked(shop, **PRODUCTION, STRIPE_KEY_FILE=str(shop / "key"), SHOP_RATE="1.07")
    assert production.stdout == "sk_of_file [] 3 1.07\n"


def test_uploads_of_tests_go_with_them(shop):
    """They are outside the project, whose git would add them, and are removed at the end."""
    show = "from django.conf import settings; print(settings.MEDIA_ROOT)"
    done = python("-c", show, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_test"})
    path = Path(passed(done).stdout.rstrip())
    assert path.is_absolute() and shop not in path.parents and not path.exists()


HELD = {
    "LOGGING": {"version": 1, "disable_existing_loggers": False},
    "EMAIL_BACKEND": "shop.Mail",
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache", "TIMEOUT": 60}},
    "SECURE_HSTS_SECONDS": 60,
    "DEFAULT_FROM_EMAIL": "shop@shop.example",
    "CELERY_TASK_TIME_LIMIT": 1200,
    "SESSION_COOKIE_SECURE": False,
}
DECIDED = {
    "DEBUG": True,
    "SECRET_KEY": "x",
    "ALLOWED_HOSTS": ["*"],
    "MEDIA_ROOT": "/",
    "LOGGING_CONFIG": None,
}
ALL = {**os.environ, **PRODUCTION, "STRIPE_KEY": "k", "SHOP_RATE": "1", "SITE_URL": "https://shop.example"}
# The team's values hold whatever these say.
OTHERS = {
    "EMAIL_URL": "smtp://bob:pass@mail.example",
    "CACHE_URL": "redis://redis/1",
    "HSTS_SECONDS": "5",
    "MAIL_FROM": "bob@shop.example",
    "TASK_TIME_LIMIT": "9",
    "BROKER_URL": "redis://redis/0",
}
BASE, DOCKER = "project/settings_base.py", "project/settings_docker.py"


def write(shop, values, path=BASE):
    append(shop / path, "".join(f"{name} = {value!r}\n" for name, value in values.items()))


def produced(shop, *names, **env):
    """Return the settings of these names in production."""
    code = (
        "import json, sys; from django.conf import settings as s\n"
        "print(json.dumps([getattr(s, name) for name in sys.argv[1:]], default=str))"
    )
    return json.loads(passed(python("-c", code, *names, cwd=shop, env={**ALL, **env})).stdout)


def assigned_twice(shop):
    """Return the settings of which check warns in production: name → the files of the two lines, the one that holds
    last. Each line must be that of an assignment."""
    done = python("manage.py", "check", cwd=shop, env={**ALL, "IMAGE_BUILD": "1"})
    said = re.findall(
        r"\(slipway.W001\) (\w+) is assigned twice, in (\S+):(\d+) and (\S+):(\d+): the latter holds", done.stderr
    )
    assert done.returncode == 0 and len(said) == done.stderr.count("(slipway."), done.stderr
    for name, *places in said:
        for path, number in (places[:2], places[2:]):
            assert re.search(rf"\b{name}\b.* = ", (shop / path).read_text().splitlines()[int(number) - 1])
    return {name: (first, last) for name, first, _, last, _ in said}


@pytest.mark.parametrize("name", HELD)
def test_a_value_that_a_team_writes_holds(shop, name):
    write(shop, {name: HELD[name]})
    assert produced(shop, name, **OTHERS) == [HELD[name]]


MAIL = {"mail": {"class": "django.utils.log.AdminEmailHandler"}}
FILE = {"file": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}}


# Slipway's form into a file, which Docker does not read.
OWN_FORM = {"own": {"class": "logging.FileHandler", "filename": "/dev/null", "formatter": "own"}}
JSON = {"own": {"()": "slipway.logs.logging.Json"}}


@pytest.mark.parametrize(
    "logging",
    [
        {},
        {"handlers": MAIL, "loggers": {"django.request": {"handlers": ["mail"], "level": "ERROR"}}},
        {"handlers": FILE, "root": {"handlers": ["file"], "level": "ERROR"}},
        {"handlers": FILE, "loggers": {"": {"handlers": ["file"]}, "before": {"handlers": [], "propagate": False}}},
        {"handlers": OWN_FORM, "root": {"handlers": ["own"], "level": "ERROR"}, "formatters": JSON},
    ],
)
def test_errors_reach_stderr_whatever_logging_says(shop, logging):
    """Each error is a line of Slipway's form there, beside what the team's handlers get, without a task's arguments."""
    write(shop, {"LOGGING": {"version": 1, **logging} if logging else {}, "LOGGING_CONFIG": None})
    append(shop / BASE, "import logging\nlogging.getLogger('before')\n")
    code = """import logging, django
django.setup()
for name, extra in (("before", None), ("django.request", None), ("celery.app.trace", {"data": "s3cret"})):
    logging.getLogger(name).error("x", extra=extra)
logging.getLogger("shop").warning("y")
logging.getLogger("django.security.DisallowedHost").error("z")
"""
    done = passed(python("-c", code, cwd=shop, env=ALL))
    lines = done.stderr.splitlines()
    assert [json.loads(line)["logger"] for line in lines if line.startswith("{")] == [
        "before",
        "django.request",
        "celery.app.trace",
    ], lines
    assert "s3cret" not in str(lines) and ("z" in done.stdout) == ("file" in logging.get("handlers", {}))


def test_what_is_assigned_twice_is_told(shop):
    """check names both lines, and the one that holds: the base's, or that of a module which the base imports, but
    production's for what it must decide. In files of before 1.0, which import the base first, that is production's for
    all. No other setting is named."""
    assert assigned_twice(shop) == {}
    write(shop, {"LOGGING": None, **DECIDED})
    write(shop, HELD, "project/more.py")
    append(shop / BASE, "from .more import *\n")
    held, decided = dict.fromkeys(HELD, (DOCKER, "project/more.py")), dict.fromkeys(DECIDED, (BASE, DOCKER))
    assert assigned_twice(shop) == {**held, **decided}
    quiet = python("manage.py", "check", cwd=shop, env=ALL)
    assert "W001" not in quiet.stderr, "only the build warns: a command by the clock would repeat it each minute"
    edit(shop / DOCKER, "\nenv.check(", '\nEMAIL_BACKEND = "shop.Post"\nenv.check(')
    assert assigned_twice(shop) == {**held, **decided, "EMAIL_BACKEND": ("project/more.py", DOCKER)}
    assert produced(shop, *DECIDED)[:3] == [
        False,
        PRODUCTION["SECRET_KEY"],
        ["shop.example"],
    ]
    star = "\nfrom .settings_base import *\n"
    edit(shop / DOCKER, star, "\n")
    edit(shop / DOCKER, "\nimport os\n", f"{star}import os\n")
    assert assigned_twice(shop) == {**dict.fromkeys(HELD, ("project/more.py", DOCKER)), **decided}


def test_the_base_is_plain():
    """settings_base.py, which is the team's, is written as startproject writes settings."""
    nodes = [*ast.walk(ast.parse((ROOT / BASE).read_text()))]
    assert not [
        node.lineno
        for node in nodes
        if isinstance(node, (ast.If, ast.ListComp, ast.DictComp))
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple))
    ]


def test_what_follows_from_a_team_s_value(shop):
    """A time limit of the team's changes what production derives from it, unless the team sets that, too. EMAIL_URL
    names a whole mail server; without it the team's stays."""
    write(shop, {"CELERY_TASK_TIME_LIMIT": 1200, "EMAIL_HOST": "mail.shop.example", "EMAIL_PORT": 2525})
    postgres = {"DATABASE_URL": "postgres://u:p@db/shop", "ROLE": "worker"}
    soft, broker, databases, host, port = produced(
        shop,
        "CELERY_TASK_SOFT_TIME_LIMIT",
        "CELERY_BROKER_TRANSPORT_OPTIONS",
        "DATABASES",
        "EMAIL_HOST",
        "EMAIL_PORT",
        **OTHERS,
        **postgres,
    )
    assert (soft, broker["visibility_timeout"], host, port) == (1170, 1260, "mail.example", 587)
    assert "statement_timeout=1200s" in databases["default"]["OPTIONS"]["options"]
    assert produced(shop, "EMAIL_HOST", "EMAIL_PORT") == ["mail.shop.example", 2525]
    write(shop, {"CELERY_TASK_SOFT_TIME_LIMIT": 30})
    assert produced(shop, "CELERY_TASK_SOFT_TIME_LIMIT") == [30]


TWO_DATABASES = """
DATABASES = {
    "default": {
        "ENGINE": "django.contrib.gis.db.backends.postgis", "NAME": "dev", "HOST": "localhost", "ATOMIC_REQUESTS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {"options": "-c search_path=shop", "keepalives_idle": 60},
    },
    "old": {"ENGINE": "django.db.backends.mysql", "NAME": "old", "CONN_MAX_AGE": 30},
    "reports": {"ENGINE": "django.db.backends.postgresql", "NAME": "reports"},
    "pooled": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "DISABLE_SERVER_SIDE_CURSORS": True},
    "none": {},
}
DATABASE_ROUTERS = ["shop.Router"]
"""


def test_databases_that_a_team_sets_hold(shop):
    """In all environments, but for the address and the account of the default one, and what each limits."""
    append(shop / BASE, TWO_DATABASES)
    postgres = {"DATABASE_URL": "postgres://u:p@db/shop", "ROLE": "web"}
    databases, routers = produced(shop, "DATABASES", "DATABASE_ROUTERS", **postgres)
    default, options = databases["default"], databases["default"]["OPTIONS"]
    assert (default["NAME"], default["HOST"], default["USER"], default["CONN_MAX_AGE"]) == ("shop", "db", "u", 60)
    assert (
        default["ENGINE"].endswith("postgis") and default["ATOMIC_REQUESTS"] and default["DISABLE_SERVER_SIDE_CURSORS"]
    )
    assert re.fullmatch(r"-c statement_timeout=30s .* -c search_path=shop", options["options"])
    assert (options["keepalives_idle"], options["application_name"]) == (60, "web development shop.example")
    assert databases["old"] == {"ENGINE": "django.db.backends.mysql", "NAME": "old", "CONN_MAX_AGE": 30}
    reports, behind = databases["reports"]["OPTIONS"], databases["pooled"]["OPTIONS"]
    assert reports["options"] == options["options"].removesuffix(" -c search_path=shop"), "each Postgres has limits"
    assert reports["application_name"] == options["application_name"]
    assert behind["options"] == "" and databases["none"] == {}, "a pooler would refuse limits"
    assert routers == ["shop.Router"] and assigned_twice(shop) == {}
    [databases] = produced(shop, "DATABASES", **postgres, SERVER="asgi")
    assert [each["CONN_MAX_AGE"] for each in databases.values()] == [0] * 5, "each request has a thread of its own"
    [pooled] = produced(shop, "DATABASES", **postgres, DATABASE_POOLER="true")
    assert pooled["default"]["OPTIONS"]["options"] == "-c search_path=shop"
    assert pooled["reports"]["OPTIONS"] == reports, "DATABASE_POOLER is of DATABASE_URL"
    for name in ("settings", "settings_test"):
        [databases] = produced(shop, "DATABASES", DJANGO_SETTINGS_MODULE=f"project.{name}", DATABASE_URL="sqlite:////x")
        default = databases["default"]
        assert (default["ENGINE"], default["ATOMIC_REQUESTS"]) == ("django.db.backends.sqlite3", True)
        assert "keepalives_idle" not in default["OPTIONS"] and databases["old"]["NAME"] == "old"


@pytest.mark.parametrize("name", ["settings", "settings_docker", "settings_test"])
def test_databases_that_are_none(shop, name):
    """A line for each, and no traceback."""
    append(shop / BASE, "DATABASES = {'default': None, 'new': {'OPTIONS': []}}\n")
    done = python("-c", SHOW, cwd=shop, env={**ALL, "DJANGO_SETTINGS_MODULE": f"project.{name}"})
    assert done.returncode == 64 and re.findall(r"settings: (\S+) is .*\n", done.stderr) == [
        "DATABASES['default']",
        "DATABASES['new']['OPTIONS']",
    ]


def test_the_last_assignment_wins(shop):
    """A value in settings_base.py applies unless another file sets it. Settings of settings_docker.py, such as another
    cache, apply to production, and are checked with all others."""
    cache, database = MORE.splitlines()
    append(shop / "project/settings_base.py", f'ADMIN_PATH = "staff/"\nEMAIL_BACKEND = "shop.Mail"\n{database}\n')
    edit(shop / DOCKER, "\nenv.check(", f'\nEMAIL_BACKEND = "shop.Post"\n{cache}\nenv.check(')
    show = "from django.conf import settings as s; print(s.ADMIN_PATH, s.EMAIL_BACKEND, *s.DATABASES, *s.CACHES)"
    done = python("-c", show, cwd=shop, env=ALL)
    assert done.stdout == "staff/ shop.Post reports default default pages\n", done.stderr
    done = python("-c", show, cwd=shop, env={**ALL, "REPORTS_URL": "x", "SITE_URL": ""})
    assert done.returncode == 64 and re.findall(r"settings: (\w+)", done.stderr) == ["SITE_URL", "REPORTS_URL"]
    done = python("-c", show, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"})
    assert done.stdout == "staff/ slipway.web.mail.Kept reports default default\n", done.stderr


@pytest.mark.parametrize(
    "file, gone, reported",
    [
        ("settings_base.py", '    "slipway.web.middleware.Probes",\n', "E003"),
        ("settings.py", "env.check(examples=True)", "E014"),
    ],
)
def test_what_has_gone_is_told(shop, file, gone, reported):
    """manage.py check reports it in a line, even if nobody checks the environment."""
    edit(shop / "project" / file, gone, "")
    done = python("manage.py", "check", cwd=shop, env={**os.environ, "VE": str(ROOT / "ve")})
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"?: (slipway.{reported}) " in done.stderr


def test_packages_of_extras_have_limits_too():
    limits = {requirement.name: requirement.specifier for requirement in versions.requirements()}
    assert all(limits[name] for name in ("gunicorn", "kombu", "redis"))
