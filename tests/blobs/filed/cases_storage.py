"""The storage: what Django's own do, and what it does besides. Most of it as Django tests its FileSystemStorage."""

import hashlib
import io
import random
import tempfile
import threading
from contextlib import suppress
from datetime import timedelta, timezone as zones
from pathlib import Path
from unittest import mock

from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings, skipUnlessDBFeature
from django.utils import timezone

from slipway.files import Damaged, Gone, TooLarge
from slipway.files.models import CHUNK, Blob, Chunk
from slipway.files.storage import DatabaseStorage

from .models import Contract, Paper

LONG = random.Random(1).randbytes(5 * CHUNK + 17)


class Storage(TestCase):
    def setUp(self):
        self.storage = DatabaseStorage()

    def save(self, name, content=b"content", **options):
        return self.storage.save(name, ContentFile(content), **options)

    def read(self, name):
        with self.storage.open(name) as file:
            return file.read()

    def test_it_is_the_project_s(self):
        self.assertIsInstance(default_storage, DatabaseStorage)
        self.assertIsInstance(storages["default"], DatabaseStorage)

    def test_saved(self):
        """Of each length about a chunk's, with its size and checksum."""
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, len(LONG)):
            name = self.save(f"a/{size}", LONG[:size])
            self.assertEqual(name, f"a/{size}")
            self.assertTrue(self.read(name) == LONG[:size])
            self.assertEqual(self.storage.size(name), size)
            self.assertEqual(self.storage.checksum(name), hashlib.sha256(LONG[:size]).hexdigest())
            self.assertEqual(Chunk.objects.filter(blob__name=name).count(), -(-size // CHUNK))

    def test_what_is_saved(self):
        """Files of Django's and Python's, of text, and uploads in memory or on disk."""
        upload = TemporaryUploadedFile("t", "text/plain", 3, None)
        upload.write(b"abc")
        upload.seek(0)
        for number, content in enumerate([ContentFile("abc"), io.BytesIO(b"abc"), File(io.BytesIO(b"abc"), "x"), upload,
                                          SimpleUploadedFile("s", b"abc")]):
            self.assertEqual(self.read(self.storage.save(f"{number}", content)), b"abc")
        self.assertEqual(self.storage.save(None, SimpleUploadedFile("own name.txt", b"")), "own name.txt")

    def test_not_saved(self):
        """What breaks off on the way leaves nothing, not even in a transaction that goes on."""
        def broken():
            yield LONG
            raise OSError("the disk is gone")
        content = ContentFile(LONG)
        with mock.patch.object(content, "chunks", broken), self.assertRaises(OSError):
            self.storage.save("a", content)
        self.assertEqual((Blob.objects.count(), Chunk.objects.count()), (0, 0))

    def test_names(self):
        """Of two with one name the second has another; so has one that is too long."""
        first, second = self.save("a/b.tar.gz", b"1"), self.save("a/b.tar.gz", b"2")
        self.assertEqual(first, "a/b.tar.gz")
        self.assertRegex(second, r"^a/b_\w{7}\.tar\.gz$")
        self.assertEqual((self.read(first), self.read(second)), (b"1", b"2"))
        self.assertEqual(len(self.save("x" * 600 + ".txt")), 512)
        self.assertEqual(len(self.save("y" * 60 + ".txt", max_length=20)), 20)
        with self.assertRaises(SuspiciousFileOperation):
            self.save("y" * 10 + ".txt", max_length=4)
        self.assertEqual(self.save("über/ärger.txt"), "über/ärger.txt")
        self.assertEqual(self.save("a\\b"), "a/b")
        self.assertEqual(self.save("./c//d"), "c/d")
        self.assertTrue(self.storage.exists("c/./d"))

    def test_case(self):
        """Upper and lower case are not the same, in no database."""
        self.save("Photos/a"), self.save("photos/A")
        self.assertFalse(self.storage.exists("photos/a"))
        self.assertEqual(self.storage.listdir("photos"), ([], ["A"]))
        self.assertEqual(self.storage.listdir(""), (["Photos", "photos"], []))

    def test_bad_names(self):
        for name in ("../a", "/etc/passwd", "a/../../b", "a\0b"):
            for ask in (self.storage.exists, self.storage.open, self.storage.size, self.storage.delete):
                with self.subTest(name), self.assertRaises(SuspiciousFileOperation):
                    ask(name)
            with self.subTest(name), self.assertRaises(SuspiciousFileOperation):
                self.save(name)

    def test_replaced(self):
        """Where it is to be: by another Blob."""
        storage = DatabaseStorage(allow_overwrite=True)
        before = self.save("a", LONG)
        blob = Blob.objects.get()
        self.assertEqual(storage.save("a", ContentFile(b"new")), before)
        self.assertEqual(self.read("a"), b"new")
        self.assertEqual((Blob.objects.count(), Chunk.objects.count()), (1, 1))
        self.assertNotEqual(Blob.objects.get().pk, blob.pk)

    def test_deleted(self):
        self.save("a", LONG), self.save("b")
        self.storage.delete("a")
        self.assertFalse(self.storage.exists("a"))
        self.assertEqual(Chunk.objects.count(), 1)
        self.storage.delete("a")
        with self.assertRaises(ValueError):
            self.storage.delete("")

    def test_nothing_there(self):
        for ask in (self.storage.open, self.storage.size, self.storage.get_modified_time):
            with self.assertRaises(FileNotFoundError):
                ask("absent")
        with self.assertRaises(NotImplementedError):
            self.storage.path("absent")

    def test_listed(self):
        for name in ("a", "b/c", "b/d", "b/e/f", "bc/g", "b_/h"):
            self.save(name)
        self.assertEqual(self.storage.listdir(""), (["b", "b_", "bc"], ["a"]))
        for path in ("b", "b/", "./b"):
            self.assertEqual(self.storage.listdir(path), (["e"], ["c", "d"]))
        self.assertEqual(self.storage.listdir("absent"), ([], []))

    def test_addresses(self):
        self.assertEqual(self.storage.url("a b/ü?.txt"), "/media/a%20b/%C3%BC%3F.txt")
        with override_settings(MEDIA_URL="https://cdn.example/m/"):
            self.assertEqual(self.storage.url("a"), "https://cdn.example/m/a")
        self.assertEqual(DatabaseStorage(base_url="/papers").url("a"), "/papers/a")

    def test_times(self):
        self.save("a")
        for ask in (self.storage.get_modified_time, self.storage.get_created_time):
            self.assertLess(abs(timezone.now() - ask("a")), timedelta(minutes=1))
            self.assertEqual(ask("a").tzinfo, zones.utc)

    @override_settings(USE_TZ=False, TIME_ZONE="Africa/Algiers")
    def test_times_without_zones(self):
        self.save("a")
        self.assertTrue(timezone.is_naive(self.storage.get_modified_time("a")))

    def test_read(self):
        """A file seeks and tells, has lines and chunks, and is opened again."""
        self.save("a", LONG)
        with self.storage.open("a") as file:
            self.assertEqual((file.size, len(file), file.name, file.closed), (len(LONG), len(LONG), "a", False))
            for at in (0, CHUNK - 1, 3 * CHUNK + 5, len(LONG) - 1, len(LONG), len(LONG) + 9):
                file.seek(at)
                self.assertEqual((file.tell(), file.read(9)), (at, LONG[at:at + 9]))
            file.seek(-4, io.SEEK_END)
            self.assertEqual(file.read(), LONG[-4:])
            self.assertTrue(b"".join(file.chunks()) == LONG)
            self.assertTrue(b"".join(file) == LONG)
        self.assertTrue(file.closed)
        self.assertTrue(file.open().read() == LONG)

    def test_text(self):
        with self.storage.open("t", "w") as file:
            file.write("ä\nb\n")
        with self.storage.open("t", "r") as file:
            self.assertEqual(file.readlines(), ["ä\n", "b\n"])

    def test_written(self):
        """What is opened to be written is there when it is closed, in the place of what was."""
        self.save("a", b"before")
        with self.storage.open("a", "wb") as file:
            for start in range(0, len(LONG), 1000):
                file.write(LONG[start:start + 1000])
            self.assertEqual(self.read("a"), b"before")
        self.assertTrue(self.read("a") == LONG)
        self.assertEqual(Blob.objects.count(), 1)
        for mode in ("a", "r+", "x", "rw"):
            with self.assertRaisesMessage(ValueError, "r, rb, w, wb"):
                self.storage.open("a", mode)

    def test_broken_off(self):
        """An error while it is written leaves what was there, and nothing else; so does who never closes it."""
        self.save("a", b"before")
        for mode, content in (("wb", LONG), ("w", "text"), ("wb", b"little")):
            with self.assertRaises(ZeroDivisionError), self.storage.open("a", mode) as file:
                file.write(content)
                1 / 0
            self.assertTrue(file.closed)
            self.assertEqual((self.read("a"), Blob.objects.count()), (b"before", 1))
        file = self.storage.open("a", "wb")
        file.write(LONG)
        file.write(b"more")
        with self.assertWarnsMessage(ResourceWarning, "a was not closed, and is not saved"), self.assertNumQueries(0):
            del file
        self.assertEqual((self.read("a"), Blob.objects.filter(name=None).count()), (b"before", 1))
        file = self.storage.open("a", "wb")
        file.write(b"after")
        self.assertEqual(file.open("rb").read(), b"after")

    def test_a_field_s_broken_off(self):
        """Also where it is opened by its row, which Django would close as if all were well."""
        paper = Paper.objects.create(scan=self.save("a", b"before"))
        for mode, content in (("wb", LONG), ("w", "text"), ("wb", b"little")):
            with self.assertRaises(ZeroDivisionError), paper.scan.open(mode) as field:
                field.write(content)
                1 / 0
            self.assertTrue(field.closed)
            self.assertEqual((self.read("a"), Blob.objects.count()), (b"before", 1))
        with paper.scan.open("wb") as field:
            field.write(b"after")
        with self.assertRaises(ZeroDivisionError), paper.scan.open("rb") as field:
            self.assertEqual(field.read(), b"after")
            1 / 0
        self.assertTrue(field.closed)
        contract = Contract(elsewhere="absent")
        with self.assertRaises(ZeroDivisionError), contract.elsewhere:
            1 / 0

    def test_too_large(self):
        """Known beforehand or found on the way; nothing of it stays."""
        storage = DatabaseStorage(limit=CHUNK)
        self.assertTrue(storage.save("fits", ContentFile(b"x" * CHUNK)))
        content = ContentFile(LONG)
        with self.assertRaisesMessage(TooLarge, "too large: 0.262144 MB are the limit"):
            storage.save("a", content)
        content.size = None
        with self.assertRaises(TooLarge):
            storage.save("a", content)
        with self.assertRaises(TooLarge), storage.open("a", "wb") as file:
            file.write(LONG)
        self.assertEqual([*Blob.objects.values_list("name", flat=True)], ["fits"])

    def test_a_form_s_error(self):
        paper = Paper(scan=SimpleUploadedFile("a", LONG))
        with mock.patch.object(default_storage._wrapped, "limit", 100):
            with self.assertRaises(ValidationError) as caught:
                paper.full_clean()
        self.assertEqual(caught.exception.message_dict, {"scan": ["This file is too large: 0.0001 MB are the limit."]})
        paper.full_clean()

    def test_damaged(self):
        """Content that is not what was saved is told at the end of a whole reading, before its last bytes are given."""
        self.save("a", LONG)
        chunk = Chunk.objects.filter(number=1).get()
        chunk.data = bytes(CHUNK)
        chunk.save()
        with self.storage.open("a") as file, self.assertRaisesMessage(Damaged, "a is damaged"):
            got = b""
            while data := file.read(CHUNK):
                got += data
        self.assertLess(len(got), len(LONG))
        with self.storage.open("a") as file:  # nobody knows a part's checksum
            file.seek(2 * CHUNK)
            self.assertTrue(file.read() == LONG[2 * CHUNK:])

    def test_a_chunk_is_missing(self):
        for broken in (lambda chunks: chunks.filter(number=5).update(data=b"x"),
                       lambda chunks: chunks.filter(number=2).delete()):
            name = self.save("a", LONG)
            broken(Chunk.objects.filter(blob__name=name))
            with self.assertRaises(Damaged), self.storage.open(name) as file:
                file.read()

    def test_gone(self):
        """Who reads a file that is replaced gets no mixture of two."""
        self.save("a", LONG)
        with self.storage.open("a") as file:
            file.read(10)
            DatabaseStorage(allow_overwrite=True).save("a", ContentFile(LONG[::-1]))
            with self.assertRaises(Gone):
                file.read()

    def test_a_field(self):
        """As Django's FileField uses it; the file is known to be a field's."""
        paper = Paper(scan=SimpleUploadedFile("a b.txt", b"paper"))
        paper.save()
        paper.refresh_from_db()
        self.assertEqual((paper.scan.name, paper.scan.size), ("papers/a_b.txt", 5))
        self.assertEqual([paper.scan.read(), paper.scan.open("rb").read()], [b"paper", b"paper"])
        paper.scan.close()
        self.assertEqual(paper.scan.open().read(), b"paper")
        self.save("by/hand")
        self.assertEqual([*Blob.objects.order_by("name").values_list("name", "owned")],
                         [("by/hand", False), ("papers/a_b.txt", True)])
        paper.scan.delete()
        self.assertFalse(default_storage.exists("papers/a_b.txt"))
        self.assertEqual(Contract().draft.storage, default_storage)

    @override_settings(DEBUG=True)
    def test_nothing_is_remembered(self):
        """Django keeps all queries of a request in development; those of content would be the content."""
        connection.queries_log.clear()
        self.read(self.save("a", LONG))
        self.assertLess(sum(len(query["sql"]) for query in connection.queries), 20_000)


class Unmoved(TransactionTestCase):
    """A file that is still in the folder that was the storage before."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path, self.storage = Path(folder.name, "papers", "a.txt"), DatabaseStorage()
        self.path.parent.mkdir()
        self.path.write_bytes(b"before")
        settings = override_settings(MEDIA_ROOT=folder.name)
        settings.enable()
        self.addCleanup(settings.disable)

    def test_its_name_is_taken(self):
        self.assertRegex(self.storage.save("papers/a.txt", ContentFile(b"new")), r"^papers/a_\w{7}\.txt$")
        self.assertTrue(self.storage.exists("./papers//a.txt"))
        self.assertEqual(self.storage.save("papers", ContentFile(b"")), "papers")

    def test_it_is_read(self):
        with self.storage.open("papers/a.txt") as file:
            self.assertEqual((file.size, file.name, file.read()), (6, "papers/a.txt", b"before"))
        self.assertEqual(self.storage.open("papers/a.txt", "r").read(), "before")
        self.assertEqual(Paper(scan="papers/a.txt").scan.size, 6)
        self.assertLess(abs(timezone.now() - self.storage.get_modified_time("papers/a.txt")), timedelta(minutes=1))
        DatabaseStorage(allow_overwrite=True).save("papers/a.txt", ContentFile(b"new"))
        self.assertEqual(self.storage.open("papers/a.txt").read(), b"new")
        self.assertFalse(self.path.exists())  # or nginx would serve it

    def test_it_is_deleted(self):
        """With the transaction."""
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            self.storage.delete("papers/a.txt")
            1 / 0
        self.assertTrue(self.path.exists())
        self.storage.delete("papers/a.txt")
        self.assertFalse(self.path.exists() or self.storage.exists("papers/a.txt"))

    def test_not_out_of_the_folder(self):
        for ask in (self.storage.exists, self.storage.open, self.storage.size, self.storage.delete):
            with self.assertRaises(SuspiciousFileOperation):
                ask("../a")
        with override_settings(MEDIA_ROOT=""):
            self.assertFalse(self.storage.exists("manage.py"))


class Transactions(TransactionTestCase):
    def test_rolled_back(self):
        """What was saved, replaced or deleted was not."""
        storage = DatabaseStorage(allow_overwrite=True)
        storage.save("old", ContentFile(LONG)), storage.save("gone", ContentFile(b"gone"))
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            storage.save("old", ContentFile(b"new")), storage.save("new", ContentFile(b"new")), storage.delete("gone")
            self.assertEqual([*storage.names()], ["new", "old"])
            1 / 0
        self.assertEqual([*storage.names()], ["gone", "old"])
        self.assertTrue(storage.open("old").read() == LONG)
        self.assertEqual(Blob.objects.count(), 2)

    def test_written_across(self):
        """Who writes on after his transaction was rolled back is told, and touches no other's file, though SQLite
        gives its number again."""
        storage = DatabaseStorage()
        for finish in (lambda file: file.close(), lambda file: file.file.raw.give_up(),
                       lambda file: file.write(LONG)):
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                file = storage.open("mine", "wb")
                file.write(LONG)
                1 / 0
            beside = storage.open("beside", "wb")
            beside.write(LONG)
            if connection.vendor == "sqlite":
                self.assertEqual(beside.file.raw.writer.blob.pk, file.file.raw.writer.blob.pk)
            with suppress(Gone):
                finish(file)
            beside.close()
            self.assertEqual([*storage.names()], ["beside"])
            self.assertTrue(storage.open("beside").read() == LONG)
            storage.delete("beside")
            self.assertEqual(Chunk.objects.count(), 0)
            file.file.raw.give_up()

    def test_no_transaction_is_open(self):
        """While a file is read from where it comes from; and nobody sees half of it."""
        storage, seen = DatabaseStorage(), []

        def chunks():
            for start in range(0, len(LONG), CHUNK):
                seen.append((connection.in_atomic_block, storage.exists("a")))
                yield LONG[start:start + CHUNK]
        content = ContentFile(LONG)
        with mock.patch.object(content, "chunks", chunks):
            storage.save("a", content)
        self.assertEqual({*seen}, {(False, False)})

    @skipUnlessDBFeature("test_db_allows_multiple_connections")
    def test_at_the_same_moment(self):
        """Several save a file of one name, each finding that nobody has it: each has a name of its own; or the last
        one's is there, if they are to replace one another."""
        for replace, names in ((False, 4), (True, 1)):
            both, failed = threading.Barrier(4), []
            storage = DatabaseStorage(allow_overwrite=replace)

            def publish(*args, inner=storage.publish, both=both):
                both.wait(60)
                return inner(*args)

            def save(content, storage=storage, failed=failed):
                try:
                    storage.save("same.txt", ContentFile(content))
                except Exception as error:
                    failed.append(error)
                finally:
                    connection.close()
            storage.publish = publish
            threads = [threading.Thread(target=save, args=[bytes([number]) * CHUNK * 2]) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            self.assertEqual(failed, [])
            self.assertEqual([Blob.objects.count(), Chunk.objects.count()], [names, 2 * names])
            for name in [*storage.names()]:
                self.assertEqual(len({*storage.open(name).read()}), 1)
                storage.delete(name)
