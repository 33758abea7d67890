"""manage.py movefiles."""

import io
import os
import tempfile
from pathlib import Path
from unittest import mock

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings

from slipway.files import moving
from slipway.files.models import CHUNK, Blob
from slipway.env import Env
from slipway.files.folder import Folder

FILES = {"a.txt": b"a", "b/c.bin": b"c" * (2 * CHUNK + 1), "b/d/e": b""}


class Moving(TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def move(self, *words, code=0):
        """What it says: (stdout, stderr)."""
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("movefiles", *words, stdout=out, stderr=err)
        except SystemExit as end:
            self.assertEqual(end.code, code)
        else:
            self.assertEqual(code, 0, err.getvalue())
        return out.getvalue(), err.getvalue()

    def put(self, files):
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def in_folder(self):
        return {str(path.relative_to(self.folder)): path.read_bytes()
                for path in self.folder.rglob("*") if path.is_file()}

    def in_database(self):
        return {name: default_storage.open(name).read() for name in default_storage.names()}

    def test_into_the_database(self):
        """All by their names; again moves none, and nothing is deleted."""
        self.put(FILES)
        size = sum(map(len, FILES.values()))
        self.assertEqual(self.move(str(self.folder), "database:")[0],
                         f"movefiles: 3 files of {size} bytes moved, 0 were there already, 0 problems\n")
        self.assertEqual(self.in_database(), FILES)
        self.assertEqual(self.in_folder(), FILES)
        with mock.patch.object(moving, "copy", side_effect=AssertionError):
            self.assertIn("0 files of 0 bytes moved, 3 were", self.move(str(self.folder), "default")[0])

    def test_out_of_it(self):
        for name, content in FILES.items():
            default_storage.save(name, ContentFile(content))
        self.move("database:", str(self.folder), "--delete")
        self.assertEqual(self.in_folder(), FILES)
        self.assertEqual(self.in_database(), {})

    def test_goes_on(self):
        """Broken off in the middle, it goes on there."""
        self.put(FILES)
        kept = moving.copy

        def copy(source, target, name):
            if name == "b/d/e":
                raise KeyboardInterrupt
            kept(source, target, name)
        with mock.patch.object(moving, "copy", copy), self.assertRaises(KeyboardInterrupt):
            self.move(str(self.folder), "database:", "--delete")
        self.assertEqual(len(self.in_folder()), 1)
        self.assertIn("1 files of", self.move(str(self.folder), "database:", "--delete")[0])
        self.assertEqual((self.in_folder(), self.in_database()), ({}, FILES))

    def test_others_of_the_name(self):
        """Other content stays, is named, and costs the exit code; or is replaced."""
        self.put(FILES)
        default_storage.save("a.txt", ContentFile(b"b"))
        out, err = self.move(str(self.folder), "database:", "--delete", code=1)
        self.assertIn("2 files of", out)
        self.assertIn("movefiles: a.txt: is there with other content, which stays: see --replace", err)
        self.assertEqual((self.in_folder(), self.in_database()), ({"a.txt": b"a"}, {**FILES, "a.txt": b"b"}))
        self.move(str(self.folder), "database:", "--replace", "--delete")
        self.assertEqual((self.in_folder(), self.in_database()), ({}, FILES))

    def test_replaced_or_not(self):
        """What is there stays where that which would replace it is not saved, wherever it is."""
        self.put({"old": b"old"})
        default_storage.save("old", ContentFile(b"new"))
        with tempfile.TemporaryDirectory() as other:
            Path(other, "old").write_bytes(b"x" * 1_000_001)
            err = self.move(other, "database:?limit=1MB", "--replace", code=1)[1]
            self.assertIn("old: This file is too large: 1 MB", err)
        self.assertEqual(self.in_database(), {"old": b"new"})
        for storage in (Folder(self.folder), FileSystemStorage(self.folder)):
            with mock.patch.object(FileSystemStorage, "_save", side_effect=OSError("full")):
                moving.move(default_storage, storage, "old", done := moving.Done(), True, False)
            self.assertEqual((done.problems, self.in_folder()), (["old: full"], {"old": b"old"}))
            moving.move(default_storage, storage, "old", done := moving.Done(), True, False)
            self.assertEqual((done.problems, self.in_folder()), ([], {"old": b"new"}))
            self.put({"old": b"old"})

    def test_names_that_change(self):
        """A storage would keep it by another name, which may be that of another file: it is told, and nothing done."""
        self.put({"a\\b": b"1", "c": b"c"})
        default_storage.save("a/b", ContentFile(b"2"))
        out, err = self.move(str(self.folder), "database:", "--replace", "--delete", code=1)
        self.assertIn("a\\b: is no name that other storages take: rename it, and what refers to it\n", err)
        self.assertEqual((self.in_folder(), self.in_database()), ({"a\\b": b"1"}, {"a/b": b"2", "c": b"c"}))

    def test_what_a_killed_save_has_left(self):
        """Is no file of anybody's; one that a visitor calls so nearly is."""
        left = {"b/.0123456789abcdef.part": b"half"}
        self.put({**FILES, **left, ".part": b""})
        self.move(str(self.folder), "database:", "--delete")
        self.assertEqual((self.in_folder(), self.in_database()), (left, {**FILES, ".part": b""}))

    def test_not_given_back(self):
        """What the target does not give back as it was stays where it is."""
        self.put({"a": b"x" * 9})
        with mock.patch.object(moving, "copy", lambda *_: default_storage.save("a", ContentFile(b"y" * 9))):
            err = self.move(str(self.folder), "database:", "--delete", code=1)[1]
        self.assertIn("a: was not given back as it was, and stays where it is", err)
        self.assertEqual(self.in_folder(), {"a": b"x" * 9})

    def test_problems(self):
        """One file that cannot be moved keeps no other."""
        self.put({**FILES, "large": b"x" * 1_000_001})
        out, err = self.move(str(self.folder), "database:?limit=1MB", code=1)
        self.assertIn("3 files of", out)
        self.assertEqual(err, "movefiles: large: This file is too large: 1 MB are the limit.\n")
        self.assertEqual(Blob.objects.count(), 3)

    def test_progress(self):
        self.put(FILES)
        with mock.patch("slipway.management.commands.movefiles.EVERY", -1):
            err = self.move(str(self.folder), "database:")[1]
        self.assertEqual(err.splitlines()[0], "movefiles: 1 of 3 files, 1 bytes moved")

    def test_from_the_site_s_folder(self):
        """Which the storage reads until all are moved; a file that is only there is not taken for one that has come."""
        with override_settings(MEDIA_ROOT=self.folder):
            for words in ((str(self.folder), "database:"), ("database:", str(self.folder)),
                          (str(self.folder), "default")):
                self.put(FILES if "/" in words[0] else {})
                self.assertIn("3 files of", self.move(*words, "--delete")[0])
            self.assertEqual((self.in_folder(), self.in_database()), ({}, FILES))
            self.put({"a.txt": b"other"})
            self.move(str(self.folder), "default", "--replace")
            self.assertEqual((self.in_folder(), default_storage.open("a.txt").read()), ({"a.txt": b"other"}, b"other"))

    def test_one_storage(self):
        """Whatever two names it has, it is not moved onto itself, which would delete all; nothing of the look stays."""
        self.put(FILES)
        default_storage.save("a.txt", ContentFile(b"a"))
        with mock.patch.dict(os.environ, {"ONE": "database:", "OTHER": "database:?limit=1MB"}):
            for words in (("default", "database:"), ("database:", "database:"), ("ONE", "OTHER"),
                          (f"{self.folder}", f"{self.folder}/"), (f"{self.folder}", f"{self.folder}/b/..")):
                with self.subTest(words), self.assertRaisesMessage(CommandError, f"{words[0]} and {words[1]} are one"):
                    self.move(*words, "--delete")
        self.assertEqual((self.in_folder(), self.in_database()), (FILES, {"a.txt": b"a"}))

    def test_no_room(self):
        """A target that takes nothing costs one line."""
        (self.folder / "file").write_bytes(b"")
        with self.assertRaisesMessage(CommandError, f"{self.folder}/file/x takes no files: [Errno 20]"):
            self.move("database:", f"{self.folder}/file/x")

    def test_which(self):
        for word, said in (("s3://key:secret@host/bucket", "s3 would show its password"), ("tape", "tape is neither"),
                           ("UNSET_URL", "UNSET_URL is not set"), ("database:x", "database:x is neither")):
            with self.subTest(word), self.assertRaisesMessage(CommandError, said) as caught:
                self.move(word, "database:")
            self.assertNotIn("key:secret@host/bucket ", str(caught.exception))
        self.assertEqual(type(moving.storage("OLD", Env({"OLD": "database:"}))), type(default_storage._wrapped))
