"""Tests of uploads in a folder: a file is stored completely, under its own name, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import SimpleTestCase, override_settings

from ..files.folder import Folder
from ..media import media


class Broken(ContentFile):  # type: ignore[type-arg]  # not generic at run time
    """A file that fails after its first half is read."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"half"
        raise OSError("the disk is full")


class FolderTest(SimpleTestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def contents(self) -> dict[str, bytes]:
        """Return the folder's files as {path: content}."""
        return {str(path.relative_to(self.path)): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    def test_a_file_has_its_name_or_another(self) -> None:
        """Missing parent folders are created. If a name is taken, the file gets another."""
        storage = Folder(self.path)
        self.assertEqual(storage.save("a/b/film", ContentFile(b"1")), "a/b/film")
        other = storage.save("a/b/film", ContentFile(b"2"))
        self.assertRegex(other, "^a/b/film_.{7}$")
        self.assertEqual(self.contents(), {"a/b/film": b"1", other: b"2"})

    def test_one_in_a_temporary_file(self) -> None:
        """An upload in a temporary file is moved, and gets the permissions of the settings."""
        upload = TemporaryUploadedFile("film", "video/mp4", 3, None)
        self.addCleanup(upload.close)
        upload.write(b"one")
        upload.seek(0)
        storage = Folder(self.path, file_permissions_mode=0o640)
        self.assertEqual(storage.save("film", upload), "film")
        self.assertEqual((self.contents(), (self.path / "film").stat().st_mode & 0o777), ({"film": b"one"}, 0o640))

    def test_half_a_file_does_not_stay(self) -> None:
        """If a save fails, the file that it would have replaced stays."""
        storage = Folder(self.path, allow_overwrite=True)
        storage.save("film", ContentFile(b"whole"))
        with self.assertRaisesMessage(OSError, "the disk is full"):
            storage.save("film", Broken(b""))
        self.assertEqual(self.contents(), {"film": b"whole"})
        storage.save("film", ContentFile(b"new"))
        self.assertEqual(self.contents(), {"film": b"new"})

    def test_many_want_one_name(self) -> None:
        """Many files saved under one name get different names, even if the file system has no hard links."""
        for refusal in (None, PermissionError("no links here")):
            with (
                mock.patch("os.link", side_effect=refusal) if refusal else mock.patch("os.link", os.link),
                ThreadPoolExecutor(8) as pool,
            ):
                names = [*pool.map(lambda _: Folder(self.path).save("film", ContentFile(b"1")), range(40))]
            self.assertEqual((len({*names}), {*names} - {*self.contents()}), (40, set()))

    @override_settings(DEBUG=True, MEDIA_URL="")
    def test_without_media_url(self) -> None:
        """Without MEDIA_URL no pattern serves uploads: it would match every URL."""
        self.assertEqual(media(), [])
