"""Deploys whose migration breaks the live release, in the forms that people write, with the project's own image, a real
Postgres and visitors who send orders."""

import os

import pytest

from e2e.fleet.apps import APPS
from e2e.orders import Orders
from e2e.scenarios import live
from ops.judging import copy
from proc import ROOT, edit, passed, put, python
from slipway.fleet.docker import build, content_of, docker
from slipway.fleet.names import of_folder

HEAD = """from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.migrations import *
from django.db.models import *


class Migration(Migration):
    dependencies = [("orders", "{}")]
    operations = [{}]
"""
PIECES = """CreateModel("Piece", [
    ("id", BigAutoField(primary_key=True)), ("note", TextField(null=True)), ("size", IntegerField(db_default=1)),
    ("number", BigIntegerField(null=True)), ("start", IntegerField(null=True)), ("stop", IntegerField(null=True)),
    ("whole", ForeignKey("orders.Order", CASCADE, null=True, db_constraint=False))])"""
MODEL = """

class Piece(models.Model):
    note = models.TextField(null=True)
    size = models.IntegerField(db_default=1)
    number = models.BigIntegerField(null=True)
    start = models.IntegerField(null=True)
    stop = models.IntegerField(null=True)
    whole = models.ForeignKey(Order, models.CASCADE, null=True, db_constraint=False)
"""
GONE = "column orders_piece.note is gone"
FORMS = {  # name → operations, and why the deploy is refused
    "small": ("RunSQL('alter table orders_piece drop column note')", GONE),
    "lines": ("RunSQL('ALTER TABLE orders_piece\\n  DROP\\n  COLUMN note')", GONE),
    "short": ("RunSQL('ALTER TABLE orders_piece DROP note')", GONE),
    "table": ("RunSQL('drop table orders_piece')", "table orders_piece is gone"),
    "check": ("RunSQL('ALTER TABLE orders_piece ADD CHECK (size > 0)')", "CHECK (size > 0)"),
    "do": ("RunSQL('DO $$ BEGIN ALTER TABLE orders_piece ADD CHECK (size > 0); END $$')", "CHECK (size > 0)"),
    "unique": ("RunSQL('CREATE UNIQUE INDEX ON orders_piece (size)')", "no second row of the same (size)"),
    "default": ("AlterField('piece', 'size', IntegerField(default=1))", "orders_piece.size has no default"),
    "key": (
        "AlterField('piece', 'number', ForeignKey('orders.Order', CASCADE, null=True, db_column='number',"
        " related_name='+'))",
        "takes only rows whose (number) another table has",
    ),
    "constraint": (
        "AlterField('piece', 'whole', ForeignKey('orders.Order', CASCADE, null=True))",
        "takes only rows whose (whole_id) another table has",
    ),
    "exclusion": (
        "AddConstraint('piece', ExclusionConstraint(name='apart', expressions=[(Func('start', 'stop',"
        " function='int4range'), '&&')]))",
        "EXCLUDE USING gist",
    ),
    "bool": (
        "AddField('piece', 'open', BooleanField(default=False)), CreateModel('Other', [('id',"
        " BigAutoField(primary_key=True))])",
        "orders_piece.open is new, NOT NULL and without a default",
    ),
    "bool-more": (
        "AddField('piece', 'open', BooleanField(default=False)), AddField('piece', 'more', IntegerField(db_default=0))",
        "orders_piece.open is new, NOT NULL and without a default",
    ),
}


class Pieces(Orders):
    """Releases of an app with a model more. `notes`: tag → migrations.json, as a build with Postgres writes it."""

    def __init__(self, fleet, folder, project_image, url):
        super().__init__(fleet, folder, project_image)
        self.folder, self.url = folder, url

    def release(self, tag, operations):
        """Put a release whose last migration has these operations into the registry. Return its tag."""
        if tag not in self.images:
            self.project_image(tag)
            base = f"{of_folder(ROOT).fleet}-shop:{tag}"
            made = docker("image", "inspect", "--format", "{{.Id}}", base).stdout.strip()
            files = self.files(operations)
            files["migrations.json"] = self.judged(tag, files)
            files["Dockerfile"] += b"USER root\nCOPY migrations.json ./\nUSER 10001:10001\n"
            self.fleet.registry.push(build(files, "fleet-pieces", BASE=base, BASE_ID=made), f"orders:{tag}")
            self.images.add(tag)
        return tag

    def files(self, operations):
        files = content_of(APPS / "orders")
        files["orders/models.py"] += MODEL.encode()
        files["orders/migrations/0003_piece.py"] = HEAD.format("0002_note", PIECES).encode()
        if operations:
            files["orders/migrations/0004_form.py"] = HEAD.format("0003_piece", operations).encode()
        return files

    def judged(self, tag, files):
        """Return the migrations.json of a build."""
        project = copy(self.folder / tag)
        edit(project / "project/settings_base.py", "INSTALLED_APPS = [", 'INSTALLED_APPS = ["project.orders",')
        for path, content in files.items():
            if path.startswith("orders/"):
                put(project / "project" / path, content.decode())
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_test", "TEST_DATABASE_URL": self.url}
        passed(python("-m", "slipway.schema.verdicts", "migrations.json", cwd=project, env=env | {"RELEASE": tag}))
        return (project / "migrations.json").read_bytes()


@pytest.fixture(scope="module")
def shop(fleet, project_image, postgres, tmp_path_factory):
    fleet.reset()
    url = postgres.url(postgres.database(migrated=False))
    shop = Pieces(fleet, tmp_path_factory.mktemp("a shop"), project_image, url)
    shop.release("build-2", "")
    shop.provision()
    shop.stage()
    shop.good("deploy", "build-2", "--no-bake")
    return shop


def test_each_form_is_refused_and_the_live_release_goes_on(shop):
    """Nothing migrates, and no visitor loses an answer or an order."""
    tags = {shop.release(f"form-{name}", operations): why for name, (operations, why) in FORMS.items()}
    applied = shop.query("SELECT count(*) FROM django_migrations")
    with shop.load() as load:
        for tag, why in tags.items():
            outcome = shop.roll("deploy", tag)
            assert outcome.code == 2 and why in outcome.stderr, f"{tag}: {outcome.stderr}"
            assert "orders.0004_form" in outcome.stderr and "0003" not in outcome.stderr
    assert {*load.result.releases} == {"build-2"} and live(shop) == "build-2", load.result.summary()
    assert shop.query("SELECT count(*) FROM django_migrations") == applied


def test_a_column_that_somebody_dropped_is_named_before_a_visitor_meets_it(shop):
    """The next release is refused, though no migration of it is wrong."""
    tag = shop.release("build-3", "RunSQL('CREATE INDEX ON orders_piece (size)')")
    shop.query("ALTER TABLE orders_piece RENAME COLUMN stop TO stopped")
    try:
        outcome = shop.roll("deploy", tag)
        assert outcome.code == 2 and "column orders_piece.stop is missing" in outcome.stderr, outcome.stderr
    finally:
        shop.query("ALTER TABLE orders_piece RENAME COLUMN stopped TO stop")
    assert shop.roll("deploy", tag, "--no-bake").code == 0 and live(shop) == tag
