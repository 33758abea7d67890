"""Test of Django 6 and psycopg 3, as `make new` offers them, in the image: its Debian 13 has Python 3.13. The project's
pins are compiled and installed, for which it needs the network."""

from checkout import Checkout, Project
from engine import docker
from proc import ROOT, passed

PACKAGES = "/ve/lib/python3.13/site-packages"


def test_a_project_of_django_6(builders, name, tmp_path):
    """A new project's own tests pass in its build, on Postgres, and the package's in its image, also of the policy,
    which Django sends: there is neither django-csp nor psycopg2."""
    template = Checkout(tmp_path / "slipway").folder
    passed(Project.copy(template, tmp_path / "shop", "--data", "django=6.0", "--data", "driver=psycopg"))
    done = builders["classic"].make(tmp_path / "shop", "build", f"APP={name}", "TAG=django-6", "TEST_DATABASE=postgres")
    assert done.returncode == 0, done.stdout
    image = f"{name}:django-6"
    there = docker("run", "--rm", "--entrypoint=ls", image, PACKAGES).stdout.split()
    assert "psycopg_pool" in there and not {"csp", "psycopg2"} & {*there}, there
    env = ["--env=DJANGO_SETTINGS_MODULE=project.settings_test", "--env=RELEASE=development"]
    docker(
        "run",
        "--rm",
        "--network=none",
        *env,
        f"--volume={ROOT}/slipway/tests:{PACKAGES}/slipway/tests:ro",
        "--entrypoint=python",
        image,
        "manage.py",
        "test",
        "slipway.tests",
    )
