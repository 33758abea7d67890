"""The view: what clients may ask for, under WSGI and ASGI."""

import random
import re
from pathlib import Path
from threading import BoundedSemaphore
from unittest import mock

from django.conf import settings
from django.core import checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import AsyncClient, SimpleTestCase, TestCase, override_settings
from django.utils.http import http_date
from django.views import static

from slipway.files import Damaged, long, views
from slipway.files.models import CHUNK, Blob, Chunk
from slipway.files.ranges import Unsatisfiable, part
from slipway.media import media

LONG = random.Random(1).randbytes(3 * CHUNK + 17)
URLS = "django.contrib.staticfiles.urls"  # a urlconf without files


class Ranges(SimpleTestCase):
    def test_parts(self):
        for text, found in (("bytes=0-", (0, 10)), ("bytes=2-3", (2, 4)), ("bytes=9-99", (9, 10)),
                            ("bytes=-3", (7, 10)), ("bytes=-99", (0, 10)), ("Bytes= 2-3 ", (2, 4)), ("", None),
                            ("bytes=1-2,4-5", None), ("bytes=3-2", None),
                            ("bytes=-", None), ("bytes=a-b", None), ("lines=1-2", None),
                            ("bytes=0-" + "9" * 5000, (0, 10)), ("bytes=٣-٤", None)):
            with self.subTest(text):
                self.assertEqual(part({"Range": text}, 10, '"a"'), found)
        for text in ("bytes=0-", "bytes=0-9", "bytes=-5"):
            self.assertIsNone(part({"Range": text}, 0, '"a"'))

    def test_none(self):
        for text, size in (("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=1-", 0),
                           ("bytes=" + "9" * 5000 + "-", 10)):
            with self.subTest(text), self.assertRaises(Unsatisfiable):
                part({"Range": text}, size, '"a"')

    def test_of_what(self):
        """Only of the file that If-Range names; a date names none."""
        for condition, same in (('"a"', True), ('"b"', False), ('W/"a"', False), (http_date(1000), False),
                                ("nonsense", False)):
            with self.subTest(condition):
                found = part({"Range": "bytes=0-1", "If-Range": condition}, 10, '"a"')
                self.assertEqual(found is not None, same)


class View(TestCase):
    def setUp(self):
        default_storage.save("a/long.bin", ContentFile(LONG))
        self.blob = Blob.objects.get()

    def get(self, name="a/long.bin", method="get", **headers):
        return getattr(self.client, method)(f"/media/{name}", headers=headers)

    def body(self, response):
        return b"".join(response.streaming_content) if response.streaming else response.content

    def test_whole(self):
        response = self.get()
        self.assertEqual((response.status_code, response["Content-Length"]), (200, str(len(LONG))))
        self.assertTrue(self.body(response) == LONG)
        self.assertEqual(response["ETag"], f'"{self.blob.sha256}"')
        self.assertEqual(response["Last-Modified"], http_date(self.blob.modified.timestamp()))
        self.assertEqual(response["Accept-Ranges"], "bytes")

    def test_head(self):
        response = self.get(method="head", range="bytes=1-2")
        self.assertEqual((response.status_code, response["Content-Length"]), (200, str(len(LONG))))
        self.assertEqual(self.body(response), b"")

    def test_other_methods(self):
        for method in ("post", "put", "delete"):
            self.assertEqual(self.get(method=method).status_code, 405)

    def test_parts(self):
        size = len(LONG)
        for text, start, stop in (("0-0", 0, 1), (f"{CHUNK - 2}-{CHUNK + 2}", CHUNK - 2, CHUNK + 3),
                                  ("-5", size - 5, size), (f"{CHUNK}-", CHUNK, size)):
            with self.subTest(text):
                response = self.get(range=f"bytes={text}")
                self.assertEqual((response.status_code, response["Content-Range"], response["Content-Length"]),
                                 (206, f"bytes {start}-{stop - 1}/{size}", str(stop - start)))
                self.assertTrue(self.body(response) == LONG[start:stop])
        response = self.get(range=f"bytes={size}-")
        self.assertEqual((response.status_code, response["Content-Range"]), (416, f"bytes */{size}"))
        self.assertEqual(self.get(range="bytes=0-1,5-6").status_code, 200)
        for condition in ('"other"', http_date(self.blob.modified.timestamp())):
            self.assertEqual(self.get(range="bytes=0-1", if_range=condition).status_code, 200)
        self.assertEqual(self.get(range="bytes=0-1", if_range=f'"{self.blob.sha256}"').status_code, 206)

    def test_conditions(self):
        etag, at = f'"{self.blob.sha256}"', self.blob.modified.timestamp()
        for headers, status in (({"if_none_match": etag}, 304), ({"if_none_match": f"W/{etag}"}, 304),
                                ({"if_none_match": "*"}, 304), ({"if_none_match": '"b"'}, 200),
                                ({"if_modified_since": http_date(at)}, 304),
                                ({"if_modified_since": http_date(at - 9)}, 200),
                                ({"if_none_match": '"b"', "if_modified_since": http_date(at)}, 200),
                                ({"if_match": '"b"'}, 412), ({"if_unmodified_since": http_date(at - 9)}, 412),
                                ({"if_none_match": etag, "range": "bytes=0-1"}, 304)):
            with self.subTest(headers):
                response = self.get(**headers)
                self.assertEqual(response.status_code, status)
                if status == 304:
                    self.assertEqual((response["ETag"], self.body(response)), (etag, b""))

    def test_inert(self):
        """Whatever it holds, a browser runs none of it; it is as nginx would answer."""
        for name in ("evil.html", "evil.svg", "evil", "evil.png.html", "d.png/evil"):
            response = self.get(default_storage.save(name, ContentFile(b"<script>alert(1)</script>")))
            self.assertEqual((response["Content-Type"], response["Content-Disposition"]),
                             ("application/octet-stream", "attachment"), name)
        response = self.get(default_storage.save("photo.PNG", ContentFile(b"")))
        self.assertEqual((response["Content-Type"], response["Content-Disposition"]), ("image/png", "inline"))
        self.assertEqual((response["X-Content-Type-Options"], response["Content-Security-Policy"],
                          response["Cross-Origin-Resource-Policy"]),
                         ("nosniff", "default-src 'none'; sandbox", "same-origin"))

    def test_kinds_are_nginx_s(self):
        text = Path(settings.BASE_DIR, "slipway/deploy/server/nginx/app.conf").read_text()
        types = re.search(r"default_type application/octet-stream;\s+types \{(.*?)\}", text, re.DOTALL)[1]
        found = {end: kind for kind, *ends in map(str.split, types.split(";")[:-1]) for end in ends}
        self.assertEqual(found, views.SHOWN)

    def test_names(self):
        for name in ("absent", "a//long.bin", "a/./long.bin", "../long.bin", "a/", "%00", "a%00b", "A/LONG.BIN"):
            self.assertEqual(self.get(name).status_code, 404, name)
        name = default_storage.save("ü b?.txt", ContentFile(b"x"))
        self.assertEqual(self.client.get(default_storage.url(name)).status_code, 200)
        self.assertEqual(self.get(default_storage.save("empty", ContentFile(b""))).status_code, 200)

    def test_damaged(self):
        """Nobody gets the whole of it."""
        Chunk.objects.filter(number=1).update(data=bytes(CHUNK))
        with self.assertRaises(Damaged):
            self.body(self.get())

    async def test_asgi(self):
        """Chunk by chunk, and no connection is kept between two that is not to outlive a request."""
        async def ask(**headers):
            response = await AsyncClient().get("/media/a/long.bin", headers=headers)
            self.assertTrue(response.is_async)
            return response.status_code, [piece async for piece in response]
        with mock.patch.object(views, "let_go") as closed:
            status, pieces = await ask()
            self.assertEqual((status, len(pieces), closed.call_count), (200, 4, 5))
            self.assertTrue(b"".join(pieces) == LONG)
        self.assertEqual(await ask(range="bytes=1-3"), (206, [LONG[1:4]]))

    def test_long_ones(self):
        """Only so many are sent at a time; a place is free again once an answer is sent, or forgotten."""
        with mock.patch.object(long, "LONG", 10), mock.patch.object(long, "places", BoundedSemaphore(1)):
            first = self.get()
            second = self.get(range="bytes=0-99")
            self.assertEqual((second.status_code, second["Retry-After"], second.get("Content-Range")),
                             (429, "5", None))
            self.assertEqual(self.get(range="bytes=0-9").status_code, 206)
            self.assertEqual(self.get(method="head").status_code, 200)
            self.assertTrue(self.body(first) == LONG)
            self.assertTrue(self.body(self.get()) == LONG)
            held = long.held(iter([b""]), 11)
            self.assertIsNone(long.held(iter([b""]), 11))
            del held
            self.assertIsNotNone(long.held(iter([b""]), 11))

    def test_queries(self):
        """Two to find it out, one a chunk; a part reads only the chunks it is of."""
        with self.assertNumQueries(1 + 4):
            self.body(self.get())
        with self.assertNumQueries(1 + 1):
            self.body(self.get(range="bytes=5-9"))
        self.assertFalse(connection.needs_rollback)

    def test_who_serves(self):
        """A project whose urls lack the line is told; one whose files are elsewhere has nothing of it."""
        def told():
            return [said.id for said in checks.run_checks() if said.id.startswith("slipway")]
        self.assertEqual(told(), [])
        with override_settings(ROOT_URLCONF=URLS):
            self.assertEqual(told(), ["slipway_blobs.W001"])
        with override_settings(MEDIA_URL="https://cdn.example/m/a/"):
            self.assertEqual(media()[0].pattern.regex.pattern, "^m/a/(?P<name>.+)$")
        for url in ("", "/", "https://media.example", "https://media.example/"):
            with self.subTest(url), override_settings(MEDIA_URL=url):
                self.assertEqual((media(), told()), ([], ["slipway_blobs.E001"]))
        files = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
        with override_settings(STORAGES=files, ROOT_URLCONF=URLS):
            self.assertEqual(told(), [])
            with override_settings(DEBUG=True):
                self.assertEqual([each.callback for each in media()], [static.serve])
            for url in ("https://bucket.example/media/", ""):
                with override_settings(MEDIA_URL=url):
                    self.assertEqual(media(), [])

    @override_settings(ROOT_URLCONF="filed.urls_of_a_folder")
    def test_absent(self):
        """Where files are in a folder nginx asks for those that are not: no page for all addresses sees it, and it
        takes no query, session or template."""
        self.assertEqual(self.client.get("/any/page").content, b"a page for all addresses")
        with self.assertNumQueries(0), self.assertTemplateNotUsed("404.html"):
            response = self.get("absent.png")
        self.assertEqual((response.status_code, response.content), (404, b"There is no such file."))
        self.assertEqual(response["Content-Type"], "text/plain")
