"""Test of Django 6 and psycopg 3, as `make new` offers them, in the image: its Debian 13 has Python 3.13. The project's
pins are compiled and installed, for which it needs the network."""

from checkout import Checkout, Project
from engine import docker
from proc import ROOT, passed, wait_until

from .conftest import containers
from .test_production import PRODUCTION, Visitor

PACKAGES = "/ve/lib/python3.13/site-packages"


def test_a_project_of_django_6(builders, name, settings, tmp_path):
    """A new project's own tests pass in its build, on Postgres, and the package's in its image, which has neither
    django-csp nor psycopg2. Django sends the policy."""
    template = Checkout(tmp_path / "slipway").folder
    passed(Project.copy(template, tmp_path / "shop", "--data", "django=6.0", "--data", "driver=psycopg"))
    done = builders["classic"].make(tmp_path / "shop", "build", f"APP={name}", "TAG=django-6",
                                    "TEST_DATABASE=postgres")
    assert done.returncode == 0, done.stdout
    image = f"{name}:django-6"
    there = docker("run", "--rm", "--entrypoint=ls", image, PACKAGES).stdout.split()
    assert "psycopg_pool" in there and not {"csp", "psycopg2"} & {*there}, there
    env = ["--env=DJANGO_SETTINGS_MODULE=project.settings_test", "--env=RELEASE=development"]
    docker("run", "--rm", "--network=none", *env, f"--volume={ROOT}/slipway/tests:{PACKAGES}/slipway/tests:ro",
           "--entrypoint=python", image, "manage.py", "test", "slipway.tests")
    with containers(image, settings) as start:
        guest = Visitor(start(env={"SITE_URL": PRODUCTION["SITE_URL"]}).port())
        wait_until(lambda: guest.ask("/healthz").status == 200, 60, "the site answers")
        assert "default-src 'self'" in guest.ask().headers["Content-Security-Policy"]
