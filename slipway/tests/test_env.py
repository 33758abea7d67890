from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.test import SimpleTestCase

from slipway.env import RENAMED, Env, SettingsError, cache, database


class Reading(SimpleTestCase):
    def problems(self, variables: dict[str, str], read: Callable[[Env], object]) -> list[str]:
        """What is wrong after `read(env)`."""
        env = Env(variables)
        read(env)
        return env.problems

    def test_all_problems_at_once_each_once(self) -> None:
        """Whatever is missing or malformed is in one error, by name, with an example, and never the value."""
        env = Env({"COUNT": "s3cret", "FLAG": "yes", "DATABASE_URL": "s3cret", "CACHE_URL": "http://s3cret"})
        env.text("KEY", example="abc")
        env.number("COUNT")
        env.flag("FLAG")
        env.database()
        env.database()
        env.cache()
        with self.assertRaises(SettingsError) as caught:
            env.check()
        self.assertEqual([problem.split()[0] for problem in caught.exception.problems],
                         ["KEY", "COUNT", "FLAG", "DATABASE_URL", "CACHE_URL"])
        self.assertIn("KEY is not set; for example KEY=abc", caught.exception.problems)
        self.assertNotIn("s3cret", str(caught.exception))

    def test_old_names_are_told_with_all_else(self) -> None:
        """Who still sets a variable, or its file, by a name that a release gave up is told the new one."""
        env = Env({"OLD": "s3cret", "OLDER_FILE": "/s3cret", "UNUSED": ""})
        env.text("KEY", example="abc")
        with mock.patch.dict(RENAMED, {"OLD": "NEW", "OLDER": "NEWER", "UNUSED": "USED", "OTHER": "ANOTHER"}):
            with self.assertRaises(SettingsError) as caught:
                env.check()
        self.assertEqual(caught.exception.problems, ["KEY is not set; for example KEY=abc", "OLD is NEW now: set that",
                                                     "OLDER is NEWER now: set that"])

    def test_what_is_asked_too_late_is_told_at_once(self) -> None:
        """After the check nobody would hear of it otherwise."""
        env = Env({})
        env.check()
        with self.assertRaisesMessage(SettingsError, "KEY is not set"):
            env.text("KEY", example="abc")

    def test_examples(self) -> None:
        """Where nothing need be set, an example stands for what is required, and is one that is taken."""
        env = Env({"B": "b"}, examples=True)
        self.assertEqual([env.text("A", example="a"), env.text("B", example="a"), env.number("N", least=50)],
                         ["a", "b", 50])
        env.check()

    def test_values(self) -> None:
        """Whole numbers, no smaller than what makes sense; a path here, whatever slashes it has at its ends. What is
        empty is not set, as env files cannot leave a variable out."""
        for text, path in (("staff", "staff/"), ("/staff/", "staff/"), ("back/office-2", "back/office-2/"), ("", "a/")):
            self.assertEqual(Env({"X": text}).url_path("X", "a/"), path)
        for wrong in ("/", "//", "<str:x>/", "a b", "a//b", "https://example.org/", "admin?x", "admin\n", "naïve"):
            self.assertEqual(len(self.problems({"X": wrong}, lambda env: env.url_path("X", "a/"))), 1, wrong)
        self.assertEqual(self.problems({"X": ""}, lambda env: env.text("X", example="1")),
                         ["X is not set; for example X=1"])
        self.assertEqual(Env({"X": "3"}).number("X"), 3)
        for wrong in ("3.5", "three", "1_000", "٣", "9" * 30):
            self.assertEqual(len(self.problems({"X": wrong}, lambda env: env.number("X"))), 1, wrong)
        self.assertIn("less than 1", self.problems({"X": "0"}, lambda env: env.number("X", 2, least=1))[0])


class Files(SimpleTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "secret")

    def text(self, content: bytes | None, **more: str) -> tuple[str, list[str]]:
        if content is not None:
            self.path.write_bytes(content)
        env = Env({"KEY_FILE": str(self.path), **more})
        return env.text("KEY", example="abc"), env.problems

    def test_a_value_from_a_file(self) -> None:
        """All of it, of every kind, several lines too, less the one line end that editors add. Of NAME and NAME_FILE
        nobody can know which was meant."""
        self.assertEqual(self.text(b"line one\nline two\n"), ("line one\nline two", []))
        self.path.write_text("postgres://u:p@db/name\n")
        self.assertEqual(Env({"KEY_FILE": str(self.path)}).database("KEY", "sqlite:////x")["NAME"], "name")
        self.assertEqual(self.text(b"one", KEY="two")[1], ["KEY and KEY_FILE are both set; leave one out"])

    def test_a_file_that_cannot_be_read(self) -> None:
        """Missing, a folder, empty or no text: one problem, which does not tell the path."""
        for content, word in ((None, "No such file"), (b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "no text")):
            problems = self.text(content)[1]
            self.assertEqual(len(problems), 1)
            self.assertIn(word, problems[0])
            self.assertNotIn(str(self.path), problems[0])
        self.path.unlink()
        self.path.mkdir()
        self.assertIn("directory", self.text(None)[1][0])


class Databases(SimpleTestCase):
    def test_sqlite(self) -> None:
        """A write waits for its turn, readers do not wait; the path may hold anything, escaped."""
        settings = database("sqlite:////data/a%20b/db.sqlite3")
        self.assertEqual(settings["NAME"], "/data/a b/db.sqlite3")
        self.assertEqual(settings["OPTIONS"]["transaction_mode"], "IMMEDIATE")
        self.assertIn("journal_mode=WAL", settings["OPTIONS"]["init_command"])
        self.assertEqual(database("sqlite://:memory:")["NAME"], ":memory:")

    def test_postgres(self) -> None:
        """An unreachable server is given up, a dead connection noticed; what the URL says goes before."""
        settings = database("postgres://u:p%2F%40@db.example:5433/name?sslmode=require&connect_timeout=9")
        self.assertEqual([settings[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")],
                         ["u", "p/@", "db.example", 5433, "name"])
        self.assertEqual(settings["OPTIONS"]["sslmode"], "require")
        self.assertEqual(settings["OPTIONS"]["connect_timeout"], 9)
        self.assertEqual(settings["OPTIONS"]["tcp_user_timeout"], 30_000)

    def test_malformed(self) -> None:
        """Each of these is refused with a word on what is wrong, and not told."""
        for url, word in {
            "nonsense": "not a database URL", "postgres:/x": "not a database URL", "oracal://h/n": "not a database URL",
            "postgres://h": "names no database", "postgres://u:p@h:5432/": "names no database",
            "postgres://u:p@h:port/n": "port", "postgres://u:p@h:99999/n": "port", "postgres://u:a/b@h/n": "%2F",
            "postgres://u:a#b@h/n": "", "postgres://u:p@h/a b": "%20", "postgres://u:[p@h/n": "",
            "sqlite://": "whole path", "sqlite:///": "whole path", "sqlite:////": "whole path",
            "sqlite:///db.sqlite3": "whole path", "sqlite://db.sqlite3": "whole path",
        }.items():
            with self.assertRaises(ValueError, msg=url) as caught:
                database(url)
            self.assertIn(word, str(caught.exception), url)
            self.assertNotRegex(str(caught.exception), "u:|a/b|a#b|db.sqlite3(?!,)")

    def test_caches(self) -> None:
        """Redis or memory, nothing else."""
        self.assertEqual(cache("rediss://:p@h:6379/1")["LOCATION"], "rediss://:p@h:6379/1")
        for url in ("redis://", "memcached://h", "redis:/h", "locmem"):
            with self.assertRaises(ValueError):
                cache(url)
