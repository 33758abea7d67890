"""A team's own settings, as docs/settings.md has them."""

import os
import re
import shutil

import pytest

import warm
from proc import ROOT


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project, with this one's virtualenv."""
    path = tmp_path_factory.mktemp("a checkout")
    for name in ("project", "slipway"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", path)
    (path / "ve").symlink_to(ROOT / "ve")
    return path


PRODUCTION = {"DJANGO_SETTINGS_MODULE": "project.settings_docker", "SITE_URL": "http://localhost",
              "SECRET_KEY": "0123456789abcdef" * 4, "DATABASE_URL": "sqlite://:memory:"}
OWN = re.search(r"```python\n(.*?)```", (ROOT / "docs/settings.md").read_text(), re.DOTALL)[1]
SHOW = "from django.conf import settings as s; print(s.STRIPE_KEY, s.SHOP_WAREHOUSES, s.SHOP_RETRIES, s.SHOP_RATE)"


@pytest.fixture
def shop(checkout, tmp_path):
    """The project with the settings of docs/settings.md."""
    path = shutil.copytree(checkout, tmp_path / "shop", symlinks=True)
    (path / ".env").unlink(missing_ok=True)
    with (path / "project/settings_shared.py").open("a") as shared:
        shared.write(f"\nfrom decimal import Decimal\n\n{OWN}")
    return path


def asked(shop, **env):
    return warm.python("-c", SHOW, cwd=shop, env={**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", **env})


@pytest.mark.parametrize("environment", [
    {}, {"DJANGO_SETTINGS_MODULE": "project.settings_test"}, {**PRODUCTION, "IMAGE_BUILD": "1"}])
def test_own_settings_need_nothing(shop, environment):
    """In development, tests and the build a required one that is not set has its example's value."""
    assert asked(shop, **environment).stdout == "sk_test_1 [] 3 1.19\n"


def test_own_settings_come_from_everywhere(shop):
    """.env in development, where the environment wins; a file in place of a value; nothing of .env elsewhere."""
    (shop / ".env").write_text("STRIPE_KEY=sk_of_env\nSHOP_RETRIES=7\n")
    (shop / "key").write_text("sk_of_file\n")
    assert asked(shop, SHOP_WAREHOUSES="a, b", SHOP_RETRIES="5").stdout == "sk_of_env ['a', 'b'] 5 1.19\n"
    in_tests = asked(shop, DJANGO_SETTINGS_MODULE="project.settings_test", STRIPE_KEY_FILE=str(shop / "key"))
    assert in_tests.stdout == "sk_of_file [] 3 1.19\n"
    production = asked(shop, **PRODUCTION, STRIPE_KEY_FILE=str(shop / "key"), SHOP_RATE="1.07")
    assert production.stdout == "sk_of_file [] 3 1.07\n"


def test_shared_settings_are_the_defaults(shop):
    """ADMIN_PATH and METRICS_TOKEN, which the environment may set, too."""
    with (shop / "project/settings_shared.py").open("a") as shared:
        shared.write('ADMIN_PATH = "staff/"\nMETRICS_TOKEN = "t" * 20\n')
    show = "from django.conf import settings as s; print(s.ADMIN_PATH, s.METRICS_TOKEN[:2])"
    for own in {"DJANGO_SETTINGS_MODULE": "project.settings"}, {**PRODUCTION, "STRIPE_KEY": "k", "SHOP_RATE": "1"}:
        assert warm.python("-c", show, cwd=shop, env={**os.environ, **own}).stdout == "staff/ tt\n"
        done = warm.python("-c", show, cwd=shop, env={**os.environ, **own, "ADMIN_PATH": "back"})
        assert done.stdout == "back/ tt\n", done.stderr


def test_production_insists(shop):
    """It tells of a team's settings and of the template's at once, and shows no value."""
    told = asked(shop, **{**PRODUCTION, "SITE_URL": ""}, SHOP_RETRIES="s3cret",
                 SHOP_RATE="s3cret").stderr
    for name in ("STRIPE_KEY is not set; for example STRIPE_KEY=sk_test_1", "SHOP_RATE is malformed",
                 "SITE_URL is not set", "SHOP_RETRIES is not a whole number"):
        assert name in told, told
    assert "s3cret" not in told
