"""What nobody refers to any more."""

import io
from datetime import timedelta
from importlib import import_module
from unittest import mock

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection, connections, router
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import pre_delete
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from slipway.files import sweep
from slipway.files.models import Blob, Chunk
from slipway.files.tasks import sweep_files
from slipway.celery import app

from .models import Contract, Paper


class Sweep(TestCase):
    databases = "__all__"

    def aged(self, **age):
        Blob.objects.update(modified=timezone.now() - timedelta(**(age or {"hours": 25})))

    def names(self):
        return sorted(Blob.objects.values_list("name", flat=True), key=str)

    def file(self, name):
        return ContentFile(b"x", name)

    def test_no_more(self):
        """Whose row is deleted, or has another file; not one that a row has, be it hidden, or of a model's own below
        another; nor one that a field never had."""
        paper, gone = Paper.objects.create(scan=self.file("a")), Paper.objects.create(scan=self.file("gone"))
        Paper.objects.create(scan=self.file("hidden"), archived=True)
        Contract.objects.create(scan=self.file("c"), draft=self.file("d"))
        default_storage.save("by/hand", self.file("x"))
        gone.delete()
        paper.scan = self.file("b")
        paper.save()
        sweep_files.delay().get()
        self.assertEqual(len(self.names()), 7)
        self.aged(hours=23)
        sweep_files.delay().get()
        self.assertEqual(len(self.names()), 7)
        self.aged()
        with self.assertLogs("slipway.files.tasks") as logs:
            sweep_files.delay().get()
        self.assertIn("any more: 2 deleted", logs.output[0])
        self.assertEqual(self.names(), ["by/hand", "drafts/d", "papers/b", "papers/c", "papers/hidden"])
        self.assertEqual(Chunk.objects.count(), 5)

    def test_once_referred_to(self):
        """A file that came otherwise is a field's, too, once it was seen to be."""
        name = default_storage.save("moved", self.file("x"))
        paper = Paper.objects.create(scan=name)
        self.aged()
        self.assertEqual([*sweep.sweep()], [])
        self.assertEqual([blob.owned for blob in Blob.objects.all()], [True])
        paper.delete()
        self.assertEqual([blob.name for blob in sweep.sweep()], ["moved"])

    def test_what_writing_has_left(self):
        Blob.objects.create()
        self.assertEqual([*sweep.sweep()], [])
        self.aged()
        self.assertEqual(len([*sweep.sweep()]), 1)
        self.assertEqual(self.names(), [])

    @override_settings(STORAGE_KEEP=["papers/kept/"])
    def test_kept(self):
        for name in ("papers/kept/a", "papers/b"):
            default_storage.save(name, self.file("x"), max_length=100)
        self.aged()
        self.assertEqual([blob.name for blob in sweep.sweep(True)], ["papers/b"])

    def test_many(self):
        Blob.objects.bulk_create(Blob(name=f"{number:05}", owned=True) for number in range(2500))
        Paper.objects.bulk_create(Paper(scan=f"{number:05}") for number in range(0, 2500, 2))
        self.aged()
        self.assertEqual(sum(1 for _ in sweep.sweep()), 1250)
        self.assertEqual(self.names(), [f"{number:05}" for number in range(0, 2500, 2)])

    def test_its_queries(self):
        """Do not grow with files that are referred to: a field has no index, so each that asks for names reads all of
        its rows."""
        counts = []
        for size in (2, 3000):
            Blob.objects.bulk_create(Blob(name=f"{size} {number}") for number in range(size))
            for using in ("default", "other"):
                Paper.objects.using(using).bulk_create(Paper(scan=f"{size} {number}") for number in range(size))
            self.aged()
            with CaptureQueriesContext(connection) as here, CaptureQueriesContext(connections["other"]) as there:
                self.assertEqual([*sweep.sweep()], [])
            counts.append([sum('"scan"' in query["sql"] for query in queries) for queries in (here, there)])
        self.assertEqual(counts[0], counts[1])

    def test_another_database(self):
        """May have the row: a router says for each where it is, as for those of a client."""
        for name in ("here", "there"):
            default_storage.save(name, self.file("x"), max_length=9)
        self.aged()
        Paper(scan="here").save(), Paper(scan="there").save(using="other")
        self.assertEqual([*sweep.sweep()], [])
        self.assertEqual([blob.owned for blob in Blob.objects.all()], [True, True])
        tables = {"default": {"filed_paper"}, "other": {"filed_paper"}}
        self.assertEqual(sweep.places(Paper, tables), {"default", "other"})
        with mock.patch.object(router, "allow_migrate_model", lambda alias, model: alias == "default"):
            self.assertEqual(sweep.places(Paper, tables), {"default"})
        self.assertEqual(sweep.places(Paper, {**tables, "other": {"another"}}), {"default"})

    def test_rolled_back(self):
        """While the database is that of a newer release, whose fields nobody knows here, no file is deleted; said once.
        """
        default_storage.save("a", self.file("x"), max_length=9)
        self.aged()
        row = MigrationRecorder(connection).Migration.objects.create(app="filed", name="0009_photo")
        with self.assertLogs("slipway.files.sweep", "WARNING") as logs:
            sweep_files.delay().get()
        self.assertEqual((len(logs.output), self.names()), (1, ["a"]))
        self.assertIn("may not know all fields that refer to files: filed.0009_photo", logs.output[0])
        row.delete()
        with self.assertNoLogs("slipway.files.sweep", "WARNING"):
            sweep_files.delay().get()
        self.assertEqual(self.names(), [])

    def test_squashed(self):
        """What a migration replaces is known, though its file is gone."""
        recorder = MigrationRecorder(connection)
        recorder.record_applied("slipway_blobs", "0000_before")
        self.assertEqual(sweep.unknown_migrations(), {"slipway_blobs.0000_before"})
        files = import_module("slipway.files.migrations.0001_files").Migration
        with mock.patch.object(files, "replaces", [("slipway_blobs", "0000_before")]):
            self.assertEqual(sweep.unknown_migrations(), set())

    def test_command(self):
        default_storage.save("hand", self.file("x")), default_storage.save("field", self.file("x"), max_length=9)
        self.aged()
        for options, said, left in ((["--dry-run"], "field\nsweepfiles: 1 files of 1 bytes would be deleted\n", 2),
                                    ([], "field\nsweepfiles: 1 files of 1 bytes deleted\n", 1),
                                    (["--all"], "hand\nsweepfiles: 1 files of 1 bytes deleted\n", 0)):
            out = io.StringIO()
            call_command("sweepfiles", *options, stdout=out)
            self.assertEqual((out.getvalue(), Blob.objects.count()), (said, left))

    def test_listeners(self):
        """Who hears of every deletion has no content read for that."""
        heard = []

        def listen(instance, **_):
            heard.append("data" in instance.__dict__)
        pre_delete.connect(listen, sender=Chunk)
        self.addCleanup(pre_delete.disconnect, listen, sender=Chunk)
        default_storage.delete(default_storage.save("a", self.file("x")))
        self.assertEqual(heard, [False])

    def test_beat_sends_it(self):
        self.assertEqual(app.conf.beat_schedule["sweep_files"]["task"], "slipway.blobs.tasks.sweep_files")
