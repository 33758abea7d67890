"""Tests of building the image: offline, with its tests, in layers that change only with their content."""

import json
import secrets

import wheels
from engine import docker, layers
from proc import append


def build(builder, project, name, tag, *words):
    return builder.make(project, "build", f"IMAGE={name}", f"TAG={tag}", *words)


OFFLINE = {  # with --network=none BuildKit would not reuse the stage `base`: use a proxy that does not answer
    "classic": "--network=none",
    "buildkit": "--build-arg http_proxy=http://127.0.0.1:9 --build-arg https_proxy=http://127.0.0.1:9",
}


def test_a_build_and_the_next(builder, project, name):
    """After make wheelhouse a build needs no network. A second build of the same commit reuses every layer, whatever
    the files' times. After a changed line of code, only the last few layers, which contain code, are new, and they are
    small."""
    assert builder.make(project, "wheelhouse", f"IMAGE={name}").returncode == 0
    # If the other builder has made the wheelhouse, this one must still run the stage that makes wheels.
    assert build(builder, project, name, "wheels", "BUILD_ARGS=--target builder").returncode == 0
    # Nothing after this may come from a cache.
    wheels.wheel(project / "wheelhouse", f"new{secrets.token_hex(4)}", "1", {})
    options = ["REVISION=r", f"BUILD_ARGS={OFFLINE[builder.name]}"]
    first, second, changed = (f"{number}-{builder.name}" for number in ("first", "second", "changed"))
    done = build(builder, project, name, first, *options)
    assert done.returncode == 0 and "Ran " in done.stdout, done.stdout
    for path in project.rglob("*"):
        if ".git" not in path.parts and path.is_file():
            path.touch()
    done = build(builder, project, name, second, *options)
    assert done.returncode == 0 and "Ran " not in done.stdout, done.stdout
    assert layers(f"{name}:{first}") == layers(f"{name}:{second}")
    append(project / "project/home/views.py", f"\n# changed, {name}, {builder.name}\n")  # no cache has this line
    done = build(builder, project, name, changed, *options)
    assert done.returncode == 0, done.stdout
    before, after = layers(f"{name}:{first}"), layers(f"{name}:{changed}")
    new = [layer for layer in after if layer not in before]
    assert 1 <= len(new) <= 3 and after[:-3] == before[:-3], new
    sizes = docker("history", "--format", "{{.Size}}", "--human=false", f"{name}:{changed}").stdout.split()
    assert sum([int(size) for size in sizes if int(size)][: len(new)]) < 5_000_000, sizes


VENDOR = """from django.db import connection
from django.test import SimpleTestCase


class Vendor(SimpleTestCase):
    def test_it(self):
        self.assertEqual(connection.vendor, "postgresql")
"""
SHELF = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.AddField("user", "shelf", models.IntegerField(db_default=0)),
                  migrations.SeparateDatabaseAndState(
                      state_operations=[migrations.RemoveField("user", "shelf")])]
"""


def test_a_failing_build(builders, project, name):
    """If a test fails, no image is made, nor if a model lacks its migration, unless drift in its app is allowed. All
    tests run in each case."""

    def late(*words):
        done = build(builders["classic"], project, name, "late", *words)
        assert "Ran " in done.stdout, done.stdout
        return done.returncode, done.stdout

    broken, models = project / "project/home/tests_broken.py", project / "project/accounts/models.py"
    broken.write_text(
        "from django.test import SimpleTestCase\n\n\nclass Broken(SimpleTestCase):\n"
        "    def test_it(self):\n        self.fail('on purpose')\n"
    )
    more = f"# {name}: no run before has made this\n\n\nclass Late(models.Model):\n    pass\n"
    models.write_text(f"from django.db import models\n{models.read_text()}\n{more}")
    code, said = late()
    assert code and "on purpose" in said and "docker-test.sh: failed: migrations tests" in said, said
    assert docker("image", "inspect", f"{name}:late", check=False).returncode != 0
    broken.unlink()
    code, said = late("DRIFT_ALLOWED=accounts")
    assert code == 0 and "migrations are missing in accounts" in said, said


def test_postgres(builders, project, name):
    """TEST_DATABASE=postgres runs the build's tests on Postgres, without a network. A migration is judged
    for each database. The image does not contain Postgres."""
    (project / "project/home/tests_vendor.py").write_text(f"# {name}: no run before has made this\n{VENDOR}")
    (project / "project/accounts/migrations/0002_shelf.py").write_text(SHELF)
    done = build(
        builders["classic"], project, name, "postgres", "TEST_DATABASE=postgres", f"BUILD_ARGS={OFFLINE['classic']}"
    )
    assert done.returncode == 0, done.stdout
    shown = docker("run", "--rm", "--entrypoint=cat", f"{name}:postgres", "migrations.json").stdout
    vendors = json.loads(shown)["vendors"]
    shelf = {"what": "column new", "table": "accounts_user", "column": "shelf", "null": False, "default": True}
    changes = {vendor: noted["migrations"]["accounts.0002_shelf"]["changes"] for vendor, noted in vendors.items()}
    assert changes == {"postgresql": [shelf], "sqlite": [shelf]}
    assert all(noted["uses"]["accounts_user"]["id"]["left_out"] for noted in vendors.values())
    found = docker("run", "--rm", "--entrypoint=sh", f"{name}:postgres", "-c", "ls /usr/lib/postgresql", check=False)
    assert found.returncode != 0


def test_packages(builders, project, name):
    """A package in docker/packages.txt is in the image's base; one after `build:` is only in the builder's stage."""
    append(project / "docker/packages.txt", "gettext-base\nbuild: libyaml-dev  # for wheels\n")
    here = {"cwd": project, "env": builders["classic"].env, "timeout": 600}
    for target in ("base", "builder"):
        docker("build", "--target", target, "--tag", f"{name}:packages-{target}", ".", **here)
    look = "command -v envsubst; ls /usr/include/yaml.h"
    base, builder = (
        docker("run", "--rm", f"{name}:packages-{target}", "sh", "-c", look, check=False).stdout
        for target in ("base", "builder")
    )
    assert "envsubst" in base and "yaml.h" not in base
    assert "envsubst" in builder and "yaml.h" in builder
