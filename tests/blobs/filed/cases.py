"""Files in the database: Django's own test command runs these on each database."""

import hashlib
import io
import os
import random
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from unittest import mock

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import AsyncClient, TestCase, TransactionTestCase, skipUnlessDBFeature
from django.utils import timezone
from django.utils.http import http_date

from slipway.blobs import small_enough
from slipway.blobs.storage import DatabaseStorage
from slipway.files import TooLarge, views
from slipway.files.models import CHUNK, Blob, Chunk

from .models import Paper

LONG = random.Random(1).randbytes(3 * CHUNK + 17)


def save(name, content=b"x", **options):
    return default_storage.save(name, ContentFile(content), **options)


def read(name):
    with default_storage.open(name) as file:
        return file.read()


def names():
    return [*Blob.objects.order_by("name").values_list("name", flat=True)]


class Storage(TestCase):
    def test_saved(self):
        """Files of any length are saved with size and checksum, from each kind of file that Django and Python have."""
        for size in (0, CHUNK - 1, CHUNK, CHUNK + 1, len(LONG)):
            name = save(f"a/{size}", LONG[:size])
            self.assertTrue(read(name) == LONG[:size])
            self.assertEqual(
                (default_storage.size(name), default_storage.checksum(name)),
                (size, hashlib.sha256(LONG[:size]).hexdigest()),
            )
        upload = TemporaryUploadedFile("t", "text/plain", 3, None)
        upload.write(b"abc")
        upload.seek(0)
        for content in (ContentFile("abc"), io.BytesIO(b"abc"), upload, SimpleUploadedFile("s", b"abc")):
            self.assertEqual(read(default_storage.save("b", content)), b"abc")

    def test_names(self):
        """If a name is taken or too long, the file gets another. Upper and lower case differ."""
        first, second = save("a/b.tar.gz", b"1"), save("a/b.tar.gz", b"2")
        self.assertRegex(f"{first} {second}", r"^a/b\.tar\.gz a/b_\w{7}\.tar\.gz$")
        self.assertEqual((read(first), read(second)), (b"1", b"2"))
        self.assertEqual((len(save("x" * 600 + ".txt")), len(save("y" * 60 + ".txt", max_length=20))), (512, 20))
        self.assertEqual([save("ü/ä.txt"), save("d\\b"), save("./c//d"), save("A/b")], ["ü/ä.txt", "d/b", "c/d", "A/b"])
        self.assertEqual(default_storage.listdir("a"), ([], [first[2:], second[2:]]))
        self.assertEqual(default_storage.listdir("")[0], ["A", "a", "c", "d", "ü"])
        self.assertEqual(default_storage.url("a b/ü?.txt"), "/media/a%20b/%C3%BC%3F.txt")
        for name in ("", "../a", "/etc/passwd", "a/../../b", "a\0b"):
            for ask in (default_storage.open, default_storage.delete, save):
                with self.subTest(name), self.assertRaises(SuspiciousFileOperation):
                    ask(name)

    def test_replaced_and_deleted(self):
        before = save("a", LONG)
        with default_storage.open("a") as file:
            file.read(10)
            self.assertEqual(DatabaseStorage(allow_overwrite=True).save("a", ContentFile(b"new")), before)
            with self.assertRaisesMessage(OSError, "a was deleted or replaced while it was read"):
                file.read()
        self.assertEqual((read("a"), Blob.objects.count(), Chunk.objects.count()), (b"new", 1, 1))
        default_storage.delete("a"), default_storage.delete("a")
        self.assertEqual((names(), Chunk.objects.count()), ([], 0))
        for ask in (default_storage.open, default_storage.size, default_storage.get_modified_time):
            with self.assertRaises(FileNotFoundError):
                ask("a")

    def test_read(self):
        """A file can seek, tell, yield lines and chunks, and be opened again. A missing chunk is an error."""
        save("a", LONG), save("t", "ä\nb\n".encode())
        self.assertLess(abs(timezone.now() - default_storage.get_modified_time("a")), timedelta(minutes=1))
        with default_storage.open("a") as file:
            self.assertEqual((file.size, file.name), (len(LONG), "a"))
            for at in (0, CHUNK - 1, len(LONG) - 1, len(LONG) + 9):
                file.seek(at)
                self.assertEqual((file.tell(), file.read(9)), (at, LONG[at : at + 9]))
            file.seek(-4, io.SEEK_END)
            self.assertEqual(file.read(), LONG[-4:])
            self.assertTrue(b"".join(file.chunks()) == LONG)
        self.assertTrue(file.open().read() == LONG)
        self.assertEqual(default_storage.open("t", "r").readlines(), ["ä\n", "b\n"])
        with self.assertRaises(io.UnsupportedOperation):
            default_storage.open("a", "wb").write(b"")
        Chunk.objects.filter(number=1).delete()
        with self.assertRaises(OSError):
            read("a")

    def test_too_large(self):
        """A save over the limit fails and leaves nothing, even if its transaction continues. A form reports it."""
        content = ContentFile(LONG)
        with self.assertRaisesMessage(TooLarge, "too large: the limit is 0.262144 MB"):
            DatabaseStorage(limit=CHUNK).save("a", content)
        self.assertEqual((Blob.objects.count(), Chunk.objects.count()), (0, 0))
        paper = Paper(scan=SimpleUploadedFile("a", LONG))
        with mock.patch.object(default_storage._wrapped, "limit", 100), self.assertRaises(ValidationError):
            paper.full_clean()
        self.assertEqual(Paper._meta.get_field("scan").validators[0], small_enough)


class Transactions(TransactionTestCase):
    def test_rolled_back(self):
        """A rollback undoes saves, replacements and deletions."""
        storage = DatabaseStorage(allow_overwrite=True)
        save("old", LONG), save("gone")
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            storage.save("old", ContentFile(b"new")), save("new"), storage.delete("gone")
            self.assertEqual(names(), ["new", "old"])
            1 / 0  # noqa: B018  it fails the block
        self.assertEqual((names(), read("old") == LONG), (["gone", "old"], True))

    @skipUnlessDBFeature("test_db_allows_multiple_connections")
    def test_at_the_same_moment(self):
        """If several uploads find one name free at the same moment, each gets a name of its own. If they may replace
        one another, one file is left."""
        for replace, count in ((False, 4), (True, 1)):
            storage, all_here = DatabaseStorage(allow_overwrite=replace), threading.Barrier(4)

            def upload(number, storage=storage, all_here=all_here):
                def chunks(size):
                    all_here.wait(60)
                    yield bytes([number]) * CHUNK

                content = ContentFile(b"")
                content.chunks = chunks
                try:
                    storage.save("same.txt", content)
                finally:
                    connection.close()

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(upload, range(4)))
            self.assertEqual((len(names()), Chunk.objects.count()), (count, count))
            Blob.objects.all().delete()


class View(TestCase):
    def setUp(self):
        save("a/long.bin", LONG)
        self.blob = Blob.objects.get()
        self.etag, self.at = f'"{self.blob.sha256}"', self.blob.modified.timestamp()

    def get(self, name="a/long.bin", method="get", **headers):
        return getattr(self.client, method)(f"/media/{name}", headers=headers)

    def body(self, response):
        return b"".join(response.streaming_content) if response.streaming else response.content

    def test_whole(self):
        with self.assertNumQueries(1 + 4):
            response = self.get()
            self.assertTrue(self.body(response) == LONG)
        self.assertEqual(
            (response["Content-Length"], response["ETag"], response["Last-Modified"]),
            (str(len(LONG)), self.etag, http_date(self.at)),
        )
        for headers, status in (({"if_none_match": self.etag, "range": "bytes=0-1"}, 304), ({"if_match": '"b"'}, 412)):
            self.assertEqual(self.get(**headers).status_code, status)
        for name in ("absent", "a//long.bin", "../a", "a/", "A/LONG.BIN", "%00"):
            self.assertEqual(self.get(name).status_code, 404, name)
        self.assertEqual(self.get(method="post").status_code, 405)

    def test_parts(self):
        """A range is served unless If-Range names another file or a date. Several ranges at once get the whole file."""
        size, head = len(LONG), self.get(method="head", range="bytes=1-2")
        self.assertEqual((head.status_code, head["Content-Length"], self.body(head)), (200, str(len(LONG)), b""))
        for text, start, stop in (
            ("0-0", 0, 1),
            (f"{CHUNK - 2}-{CHUNK + 2}", CHUNK - 2, CHUNK + 3),
            ("-5", size - 5, size),
            (f"{CHUNK}-", CHUNK, size),
            (f"0-{10**12}", 0, size),
        ):
            response = self.get(range=f"bytes={text}", if_range=self.etag)
            self.assertEqual(
                (response.status_code, response["Content-Range"], response["Content-Length"]),
                (206, f"bytes {start}-{stop - 1}/{size}", str(stop - start)),
            )
            self.assertTrue(self.body(response) == LONG[start:stop])
        for text in (f"{size}-", "-0", f"{10**12}-"):
            response = self.get(range=f"bytes={text}")
            self.assertEqual((response.status_code, response["Content-Range"]), (416, f"bytes */{size}"))
        for text in ("1-2,4-5", "3-2", "-", "a-b", "0-" + "9" * 5000):
            self.assertEqual(self.get(range=f"bytes={text}").status_code, 200, text)
        for condition in ('"other"', f"W/{self.etag}", http_date(self.at)):
            self.assertEqual(self.get(range="bytes=0-1", if_range=condition).status_code, 200)
        self.assertEqual(self.get(save("empty", b""), range="bytes=0-").status_code, 200)

    def test_inert(self):
        """A browser runs no stored file, whatever its content."""
        for name, shown in (("evil.html", None), ("evil.svg", None), ("d.png/evil", None), ("a.PNG", "image/png")):
            response = self.get(save(name, b"<script>alert(1)</script>"))
            self.assertEqual(
                (response["Content-Type"], response["Content-Disposition"]),
                (shown or "application/octet-stream", "inline" if shown else "attachment"),
            )
            self.assertEqual(response["Content-Security-Policy"], "default-src 'none'; sandbox")
        text = Path(settings.BASE_DIR, "slipway/deploy/server/nginx/app.conf").read_text()
        types = text.partition("types {")[2].partition("}")[0].split(";")[:-1]
        self.assertEqual({end: kind for kind, *ends in map(str.split, types) for end in ends}, views.SHOWN)

    async def test_asgi(self):
        """A file is sent chunk by chunk. Between chunks, no connection stays open that may not outlive a request."""
        response = await AsyncClient().get("/media/a/long.bin")
        with mock.patch.object(views, "connections", mock.MagicMock()) as found:
            found["default"].in_atomic_block = False
            pieces = [piece async for piece in response]
        self.assertTrue(response.is_async and b"".join(pieces) == LONG)
        self.assertEqual((len(pieces), found["default"].close_if_unusable_or_obsolete.call_count), (4, 5))


class Moving(TestCase):
    FILES = {"a.txt": b"a", "b/c.bin": b"c" * (2 * CHUNK + 1), "b/d/e": b""}

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def put(self, files):
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def move(self, *words, code=0):
        """Run movefiles. Return (the last line of stdout, stderr)."""
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("movefiles", *words, stdout=out, stderr=err)
        except SystemExit as end:
            self.assertEqual(end.code, code)
        return out.getvalue().splitlines()[-1].removeprefix("movefiles: "), err.getvalue()

    def test_there_and_back(self):
        """All files are copied with their names; a second run copies none."""
        self.put({**self.FILES, "b/.0123456789abcdef.part": b"half"})
        for said in ("3 files copied, 0 were there already, 0 problems", "0 files copied, 3 were there already"):
            self.assertIn(said, self.move(str(self.folder), "database:")[0])
        self.assertEqual({name: read(name) for name in names()}, self.FILES)
        with tempfile.TemporaryDirectory() as other:
            self.assertIn("3 files copied", self.move("database:", other)[0])
            self.assertEqual({name: Path(other, name).read_bytes() for name in self.FILES}, self.FILES)

    def test_what_differs(self):
        """A newer file replaces an older one. An older, too large or badly named file is reported, not copied."""
        self.put({"old": b"1", "new": b"2"})
        save("old", b"3"), save("new", b"4")
        os.utime(self.folder / "old", (1, 1))
        os.utime(self.folder / "new", (4_000_000_000, 4_000_000_000))
        said, errors = self.move(str(self.folder), "database:", code=1)
        self.assertEqual(
            (said, read("old"), read("new")), ("1 files copied, 0 were there already, 1 problems", b"3", b"2")
        )
        self.assertIn("old: exists in both places, and the target is newer", errors)
        self.put({"a\\b": b"", "large": b"x" * 1_000_001})
        self.assertEqual(len(self.move(str(self.folder), "database:?limit=1MB", code=1)[1].splitlines()), 3)
        self.assertEqual(names(), ["new", "old"])

    def test_which(self):
        """The error about a refused argument shows no secret in it."""
        for word in ("s3://key:hush@host/bucket", "UNSET_URL", "database:x", "/none/such"):
            with self.subTest(word), self.assertRaises(CommandError) as caught:
                self.move(word, "database:")
            self.assertNotIn("hush", str(caught.exception))
