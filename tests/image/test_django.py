"""Test of Django 6 and psycopg 3, as `make new` offers them, in the image: its Debian 13 has Python 3.13. The pins are
those of a requirements.txt, which uv compiles for a Python that this machine may lack. It needs the network."""

import contextlib

from checkout import Checkout, Project
from engine import docker
from proc import ROOT, UV, output, passed, put
from slipway.make import new

PACKAGES = "/ve/lib/python3.13/site-packages"
COMPILE = [UV, "pip", "compile", "--quiet", "--universal", "--python-version=3.12", "--generate-hashes"]


def use_django_6(project):
    """Change a project of Django 5.2 as `make new` does, and give it lists of pins instead of uv.lock."""
    [wheel] = project.glob("vendor/*.whl")
    with contextlib.chdir(project):
        new.use_new_django()
    put(project / "requirements.in", f"django>=6.0,<6.1\n./vendor/{wheel.name}[accounts,jobs,psycopg]\n")
    put(project / "dev.in", "-r requirements.in\nfactory-boy\n")
    (project / "uv.lock").unlink()
    (project / "requirements").mkdir()
    env = Project(project).env
    output([*COMPILE, "requirements.in", "-o", "requirements.txt"], cwd=project, env=env)
    output([*COMPILE, "dev.in", "-o", "requirements/dev.txt"], cwd=project, env=env)


def test_a_project_of_django_6(builders, name, tmp_path):
    """A new project's own tests pass in its build, on Postgres, and the package's in its image, also of the policy,
    which Django sends: there is neither django-csp nor psycopg2."""
    template = Checkout(tmp_path / "slipway").folder
    passed(Project.copy(template, tmp_path / "shop", "--data", "driver=psycopg"))
    use_django_6(tmp_path / "shop")
    done = builders["classic"].make(
        tmp_path / "shop", "build", f"IMAGE={name}", "TAG=django-6", "TEST_DATABASE=postgres"
    )
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
        f"--volume={ROOT}/slipway/tests:/own/slipway/tests:ro",
        "--entrypoint=python",
        image,
        "manage.py",
        "test",
        "slipway.tests",
    )
