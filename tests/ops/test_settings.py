"""Tests of a team's own settings as in docs/settings.md."""

import os
import re
import shutil

import pytest

import warm
from proc import ROOT, append, edit


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Return a copy of the project, with the checkout's virtualenv."""
    path = tmp_path_factory.mktemp("a checkout")
    for name in ("project", "slipway"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", path)
    (path / "ve").symlink_to(ROOT / "ve")
    return path


PRODUCTION = {"DJANGO_SETTINGS_MODULE": "project.settings_docker", "SITE_URL": "http://localhost",
              "SECRET_KEY": "0123456789abcdef" * 4, "DATABASE_URL": "sqlite://:memory:"}
OWN, MORE = re.findall(r"```python\n(.*?)```", (ROOT / "docs/settings.md").read_text(), re.DOTALL)
SHOW = "from django.conf import settings as s; print(s.STRIPE_KEY, s.SHOP_WAREHOUSES, s.SHOP_RETRIES, s.SHOP_RATE)"


@pytest.fixture
def shop(checkout, tmp_path):
    """Return the project with the settings of docs/settings.md."""
    path = shutil.copytree(checkout, tmp_path / "shop", symlinks=True)
    (path / ".env").unlink(missing_ok=True)
    append(path / "project/settings_base.py", f"\nfrom decimal import Decimal\n\n{OWN}")
    return path


def asked(shop, **env):
    return warm.python("-c", SHOW, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", **env})


@pytest.mark.parametrize("environment", [
    {}, {"DJANGO_SETTINGS_MODULE": "project.settings_test"}, {**PRODUCTION, "IMAGE_BUILD": "1"}])
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


def test_the_last_assignment_wins(shop):
    """A value in settings_base.py applies unless another file sets it. Settings of settings_docker.py, such as another
    database, apply to production, and are checked with all others."""
    append(shop / "project/settings_base.py", 'ADMIN_PATH = "staff/"\nEMAIL_BACKEND = "shop.Mail"\n')
    edit(shop / "project/settings_docker.py", "\nenv.check(", f'\nEMAIL_BACKEND = "shop.Post"\n{MORE}\nenv.check(')
    show = "from django.conf import settings as s; print(s.ADMIN_PATH, s.EMAIL_BACKEND, *s.DATABASES, *s.CACHES)"
    env = {**os.environ, **PRODUCTION, "STRIPE_KEY": "k", "SHOP_RATE": "1"}
    done = warm.python("-c", show, cwd=shop, env=env)
    assert done.stdout == "staff/ shop.Post default reports default pages\n", done.stderr
    done = warm.python("-c", show, cwd=shop, env={**env, "REPORTS_URL": "x", "SITE_URL": ""})
    assert done.returncode == 64 and re.findall(r"settings: (\w+)", done.stderr) == ["SITE_URL", "REPORTS_URL"]
    done = warm.python("-c", show, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings"})
    assert done.stdout == "staff/ django.core.mail.backends.console.EmailBackend default default\n", done.stderr


@pytest.mark.parametrize("file, gone, told", [
    ("settings_base.py", '    "slipway",\n', "E001"),
    ("settings_base.py", '    "slipway.web.middleware.Probes",\n', "E003"),
    ("settings.py", "env.check(examples=True)", "E014")])
def test_what_has_gone_is_told(shop, file, gone, told):
    """manage.py check reports it in a line, even if slipway is no app any more, or nobody checks the environment."""
    edit(shop / "project" / file, gone, "")
    done = warm.python("manage.py", "check", cwd=shop, env={**os.environ, "VE": str(ROOT / "ve")})
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"?: (slipway.{told}) " in done.stderr
