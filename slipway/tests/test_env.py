from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.test import SimpleTestCase

from slipway.env import Env, SettingsError
from slipway.settings.service_urls import cache, database


class Reading(SimpleTestCase):
    def problems(self, variables: dict[str, str], read: Callable[[Env], object]) -> list[str]:
        """Return the problems after `read(env)`."""
        env = Env(variables)
        read(env)
        return env.faults(examples=False)

    def test_all_problems_at_once_each_once(self) -> None:
        """One error lists all missing or malformed variables, each by name with an example, never with its value."""
        env = Env({"COUNT": "s3cret", "FLAG": "yes", "DATABASE_URL": "s3cret", "CACHE_URL": "http://s3cret"})
        env.text("KEY", example="abc")
        env.number("COUNT")
        env.flag("FLAG")
        env.database()
        env.database()
        env.cache()
        with redirect_stderr(StringIO()) as said, self.assertRaises(SystemExit) as caught:
            env.check()
        lines = said.getvalue().splitlines()
        self.assertEqual([line.split()[1] for line in lines], ["KEY", "COUNT", "FLAG", "DATABASE_URL", "CACHE_URL"])
        self.assertEqual((caught.exception.code, lines[0]), (64, "settings: KEY is not set; for example KEY=abc"))
        self.assertNotIn("s3cret", said.getvalue())

    def test_what_is_asked_too_late_is_told_at_once(self) -> None:
        """A problem found after the check is raised at once, because no later check would report it."""
        env = Env({})
        env.check()
        with self.assertRaisesMessage(SettingsError, "KEY is not set"):
            env.text("KEY", example="abc")

    def test_examples(self) -> None:
        """With `examples`, examples replace missing required variables. Malformed variables are still reported, and
        their examples let the settings load."""
        env = Env({"B": "b"})
        self.assertEqual(
            [env.text("A", example="a"), env.text("B", example="a"), env.number("N", least=50)], ["a", "b", 50]
        )
        env.check(examples=True)
        self.assertEqual(len(env.faults(examples=False)), 2)
        env = Env({"N": "many"})
        self.assertEqual(env.number("N", 3, least=50), 50)
        env.number("M", example="some")
        self.assertEqual([line.split()[0] for line in env.faults(examples=True)], ["N", "M"])

    def test_read_too_late(self) -> None:
        """An env file that is read after the first variable is reported: it would apply only to later ones."""
        env = Env({})
        env.text("KEY", "")
        env.read(Path("/nowhere/.env"))
        self.assertIn("too late, after the variable KEY", env.faults(examples=True)[0])

    def test_a_comment_behind_a_value(self) -> None:
        with TemporaryDirectory() as folder:
            (path := Path(folder, ".env")).write_text("KEY=s3cret # ours\nCOLOR=#fff\nURL=/a#b\n")
            [problem] = self.problems({}, lambda env: env.read(path))
            path.write_text("KEY=-----BEGIN KEY-----\nMIIEpAIB\n")
            self.assertIn("NAME_FILE", self.problems({}, lambda env: env.read(path))[1])
        self.assertRegex(problem, r'^\.env: KEY has " #" in its value: (?!.*s3cret).*KEY_FILE')

    def test_values(self) -> None:
        """Numbers must be whole and not below `least`. Slashes around a path do not matter. An empty variable counts as
        not set, because env files cannot omit one."""
        for text, path in (("staff", "staff/"), ("/staff/", "staff/"), ("back/office-2", "back/office-2/"), ("", "a/")):
            self.assertEqual(Env({"X": text}).url_path("X", "a/"), path)
        for wrong in ("/", "//", "<str:x>/", "a b", "a//b", "https://example.org/", "admin?x", "admin\n", "naïve"):
            self.assertEqual(len(self.problems({"X": wrong}, lambda env: env.url_path("X", "a/"))), 1, wrong)
        self.assertEqual(
            self.problems({"X": ""}, lambda env: env.text("X", example="1")), ["X is not set; for example X=1"]
        )
        self.assertEqual(Env({"X": "3"}).number("X"), 3)
        for wrong in ("3.5", "three", "1_000", "٣", "9" * 30):
            self.assertEqual(len(self.problems({"X": wrong}, lambda env: env.number("X"))), 1, wrong)
        self.assertIn("less than 1", self.problems({"X": "0"}, lambda env: env.number("X", 2, least=1))[0])

    def test_databases_that_are_no_dict(self) -> None:
        """No value is shown: it may be a password."""
        url = {"DATABASE_URL": "sqlite:////x"}
        for own, lines in (
            (None, ["DATABASES is None, not a dict such as {"]),
            (["s3cret"], ["DATABASES is of type list, not a dict such as {"]),
            ({"default": "s3cret", "well": {}}, ["DATABASES['default'] is of type str, not a dict"]),
            (
                {"x": {"OPTIONS": "s3cret"}, "y": None},
                ["DATABASES['x']['OPTIONS'] is of type str, not", "DATABASES['y']"],
            ),
            ({"x": {}, "default": {"ATOMIC_REQUESTS": True}}, []),
        ):
            problems = self.problems(url, lambda env, own=own: env.databases(own))  # type: ignore[misc]
            self.assertEqual(len(problems), len(lines), problems)
            self.assertTrue(all(map(str.startswith, problems, lines)), problems)


class Files(SimpleTestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(TemporaryDirectory()), "secret")

    def text(self, content: bytes | None, **extra: str) -> tuple[str, list[str]]:
        if content is not None:
            self.path.write_bytes(content)
        env = Env({"KEY_FILE": str(self.path), **extra})
        return env.text("KEY", example="abc"), env.faults(examples=False)

    def test_a_value_from_a_file(self) -> None:
        """NAME_FILE's value may be of any type and have several lines; only a last line end is dropped. Setting both
        NAME and NAME_FILE is a problem."""
        self.assertEqual(self.text(b"line one\nline two\n"), ("line one\nline two", []))
        self.path.write_text("postgres://u:p@db/name\n")
        self.assertEqual(Env({"KEY_FILE": str(self.path)}).database("KEY", "sqlite:////x")["NAME"], "name")
        self.assertEqual(self.text(b"one", KEY="two")[1], ["KEY and KEY_FILE are both set: remove one"])

    def test_a_file_that_cannot_be_read(self) -> None:
        """A file that is missing, a folder, empty or not text is one problem, which omits the path."""
        for content, word in ((None, "No such file"), (b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "not UTF-8")):
            problems = self.text(content)[1]
            self.assertEqual(len(problems), 1)
            self.assertIn(word, problems[0])
            self.assertNotIn(str(self.path), problems[0])
        self.path.unlink()
        self.path.mkdir()
        self.assertIn("directory", self.text(None)[1][0])


class Databases(SimpleTestCase):
    def test_sqlite(self) -> None:
        """Writers take turns and readers do not wait. The path may contain any character, escaped."""
        settings = database("sqlite:////data/a%20b/db.sqlite3")
        self.assertEqual(settings["NAME"], "/data/a b/db.sqlite3")
        self.assertEqual(settings["OPTIONS"]["transaction_mode"], "IMMEDIATE")
        self.assertIn("journal_mode=WAL", settings["OPTIONS"]["init_command"])
        self.assertEqual(database("sqlite://:memory:")["NAME"], ":memory:")

    def test_postgres(self) -> None:
        """Connecting to an unreachable server times out, and dead connections are detected. The URL's options win."""
        settings = database("postgres://u:p%2F%40@db.example:5433/name?sslmode=require&connect_timeout=9")
        self.assertEqual(
            [settings[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")],
            ["u", "p/@", "db.example", 5433, "name"],
        )
        self.assertEqual(settings["OPTIONS"]["sslmode"], "require")
        self.assertEqual(settings["OPTIONS"]["connect_timeout"], 9)
        self.assertEqual(settings["OPTIONS"]["tcp_user_timeout"], 30_000)

    def test_what_a_project_sets_besides(self) -> None:
        """All but address and account holds, but not the engine and options of development's other kind of server. An
        extension of the engine holds, too. What the URL names itself wins."""
        own = {"ATOMIC_REQUESTS": True, "CONN_MAX_AGE": 0, "TEST": {"NAME": "t"}, "NAME": "x", "HOST": "x"}
        url = "postgres://u:p@h/n?connect_timeout=9"
        plain = database(url)
        self.assertEqual(
            database(url, {**own, "ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 5}}),
            {**plain, "ATOMIC_REQUESTS": True, "CONN_MAX_AGE": 0, "TEST": {"NAME": "t"}},
        )
        options = {"connect_timeout": 5, "keepalives_idle": 60, "assume_role": "shop"}
        for engine in ("django.db.backends.postgresql", "psqlextra.backend", "shop.db", None):
            with self.subTest(engine):
                settings = database(url, {"OPTIONS": options, **({"ENGINE": engine} if engine else {})})
                self.assertEqual(settings["ENGINE"], engine or plain["ENGINE"])
                self.assertEqual(settings["OPTIONS"], {**plain["OPTIONS"], **options, "connect_timeout": 9})
        gis = "django.contrib.gis.db.backends.postgis"
        self.assertEqual(database("postgis://h/n", {"ENGINE": "django.db.backends.postgresql"})["ENGINE"], gis)
        self.assertEqual(database("postgis://h/n")["OPTIONS"]["connect_timeout"], 3)
        sqlite = database(
            "sqlite:////x", {"ENGINE": "shop.sqlite3", "OPTIONS": {"timeout": 5}, "ATOMIC_REQUESTS": True}
        )
        self.assertEqual((sqlite["ENGINE"], sqlite["OPTIONS"]["timeout"]), ("shop.sqlite3", 5))
        self.assertEqual(database("sqlite:////x", {"ENGINE": gis})["ENGINE"], "django.db.backends.sqlite3")
        pooled = database("postgres://h/n", {"OPTIONS": {"pool": True}, "CONN_MAX_AGE": 9})
        self.assertEqual(pooled["CONN_MAX_AGE"], 0)  # Django refuses both

    @mock.patch("slipway.settings.service_urls.find_spec", return_value=None)
    def test_no_pool(self, _: mock.Mock) -> None:
        """psycopg2 has no pool."""
        self.assertRaisesRegex(ValueError, "psycopg2", database, "postgres://h/n?pool=8")

    @mock.patch("dj_database_url.parse", side_effect=TypeError("unexpected keyword argument"))
    def test_another_library(self, _: mock.Mock) -> None:
        """A fault of the code, such as an argument that this version of a library lacks, is not the URL's."""
        with self.assertRaisesMessage(TypeError, "unexpected"):
            Env({"DATABASE_URL": "postgres://h/n"}).database()

    def test_malformed(self) -> None:
        """Each malformed URL is refused. The error names the fault without the URL."""
        for url, word in {
            "nonsense": "not a database URL",
            "postgres:/x": "not a database URL",
            "oracal://h/n": "not a database URL",
            "postgres://h/n?pool=true": "pool=8",
            "postgres://h/n?pool=0": "pool=8",
            "postgres://h": "names no database",
            "postgres://u:p@h:5432/": "names no database",
            "postgres://u:p@h:port/n": "port",
            "postgres://u:p@h:99999/n": "port",
            "postgres://u:a/b@h/n": "%2F",
            "postgres://u:a#b@h/n": "",
            "postgres://u:p@h/a b": "%20",
            "postgres://u:[p@h/n": "",
            "postgres://u:p@h/n?sslmode=maybe": "option sslmode that is not one of disable, allow, ",
            "postgres://u:p@h/n?connect_timeout=soon": "option connect_timeout that is not a whole number",
            "postgres://u:p@h/n?sslrootcert=/none/a/b": "option sslrootcert that is not the path of a file",
            "postgres://u:p@h/n?port=x": "option port that is not a whole number",
            "postgres://u:p@h/n?keepalives=true": "option keepalives that is not one of 0, 1",
            "postgres://u:p@h/n?isolation_level=serializable": "option isolation_level",
            "postgres://u:p@h/n?sslmode=require&sslmode=prefer": "option sslmode twice",
            "postgres://u:p@h/n?sslmode=": "option sslmode",
            "postgres://u:p@h/n?a/b=1": "an option that Postgres does not know",
            "postgres://u:p@h/n?a/b=": "has an option that is not a text",
            "postgis://u:p@h/n?sslmode=maybe": "option sslmode",
            "sqlite:////x?timeout=soon": "option timeout that is not a number of seconds",
            "sqlite:////x?transaction_mode=later": "option transaction_mode",
            "sqlite:////x?a/b=1": "an option that is none of cached_statements, ",
            "sqlite://": "absolute path",
            "sqlite:///": "absolute path",
            "sqlite:////": "absolute path",
            "sqlite:///db.sqlite3": "absolute path",
            "sqlite://db.sqlite3": "absolute path",
        }.items():
            with self.assertRaises(ValueError, msg=url) as caught:
                database(url)
            self.assertIn(word, str(caught.exception), url)
            self.assertNotRegex(str(caught.exception), "u:|a/b|a#b|db.sqlite3(?!,)")

    def test_caches(self) -> None:
        """Only URLs of Redis and locmem:// are accepted. Of a wrong one nothing is told, as it may be the password."""
        for url in (
            "rediss://:p@h:6379/1",
            "redis://h",
            "redis://[::1]/",
            "redis://h/0?socket_timeout=5&protocol=3&retry_on_timeout=True&max_connections=9&socket_keepalive=false",
            "rediss://h/0?ssl_cert_reqs=none&client_name=shop",
            "unix://:p@/run/redis.sock?db=1",
        ):
            self.assertEqual(cache(url)["LOCATION"], url)
        for url, checks in (("rediss://h/0", True), ("rediss://h/0?ssl_cert_reqs=none", False)):
            self.assertIs(cache(url)["OPTIONS"]["ssl_check_hostname"], checks)
        for url in (
            "redis://",
            "memcached://h",
            "redis:/h",
            "locmem",
            "redis://:s3#x@h",
            "redis://:s3/x@h",
            "redis://:s3@h:s3",
            "redis://h/s3",
            "redis://:s3@",
            "redis://h?s3=5",
            "redis://h?timeout=5",
            "redis://h?socket_timeout=s3",
            "redis://h?socket_timeout=0",
            "redis://h?socket_connect_timeout=-1",
            "redis://h?db=s3",
            "redis://h?db=1&db=2",
            "redis://h?protocol=9",
            "redis://h?protocol=",
            "redis://h?client_name=a%20s3",
            "redis://h?max_connections=0",
            "redis://h?health_check_interval=s3",
            "redis://h?retry_on_timeout=maybe",
            "redis://h?socket_keepalive=maybe",
            "redis://h?ssl_cert_reqs=required",
            "rediss://h?ssl_cert_reqs=maybe",
            "rediss://h?ssl_check_hostname=maybe",
            "rediss://h?ssl_ca_certs=/none/s3",
            "unix:///run/redis.sock?socket_keepalive=true",
            "redis://:s3 x@h",
            "unix://:s3@",
            "unix:///run/redis.sock?s3=5",
        ):
            with self.subTest(url), self.assertRaises(ValueError) as caught:
                cache(url)
            self.assertNotIn("s3", str(caught.exception))
            self.assertRegex(str(caught.exception), "^(is|has|needs) ", "it follows the variable's name")
