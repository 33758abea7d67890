import contextlib
import threading
import time
from collections.abc import Callable
from typing import NoReturn
from unittest import mock

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import SimpleTestCase, TestCase, override_settings

from slipway import readiness
from slipway.deploy.server.site import PROBES
from slipway.health import checks, heartbeat, probes
from slipway.schema import web_plan


def fine() -> str:
    return "value"


def broken() -> NoReturn:
    raise RuntimeError("the password is s3cret\nand more")


PROMISED = readiness.DEADLINE
released = threading.Event()


def hanging() -> None:
    released.wait(30)


def end_hanging() -> None:
    released.set()
    for thread in threading.enumerate():
        if thread.name == "readiness":
            thread.join(30)


def path(function: Callable[[], object]) -> str:
    return f"{__name__}.{function.__name__}"


def threads() -> int:
    return sum(thread.name == "readiness" for thread in threading.enumerate())


class Patient(SimpleTestCase):
    """On a busy machine a check that does not hang may take longer than DEADLINE."""

    def setUp(self) -> None:
        self.enterContext(mock.patch.object(readiness, "DEADLINE", 30))


class Parts(Patient):
    def setUp(self) -> None:
        super().setUp()
        self.released = threading.Event()
        self.calls: list[int] = []
        self.addCleanup(self.released.set)

    def hang(self) -> None:
        self.calls.append(1)
        self.released.wait(30)

    def verdict(self, part: readiness.Part) -> str:
        asked = time.monotonic()
        return part.finish(part.attempt(), asked)

    def test_an_answer_is_shared_for_a_while(self) -> None:
        """Callers soon after a check get its answer, even a failure. Later callers get a new one."""
        for check, error in ((fine, ""), (broken, "RuntimeError")):
            part = readiness.Part("x", check, shared=30)
            with self.assertLogs("slipway.readiness", "WARNING") if error else contextlib.nullcontext():
                self.assertIn(error, self.verdict(part))
                self.assertIn(error, self.verdict(part))
            first, part.shared = part.attempt(), 0
            self.assertIs(first, part.runs[-1])
            self.assertIsNot(part.attempt(), first)

    def test_a_hanging_part_is_down_at_once_when_asked_again(self) -> None:
        """Once a check has hung until the deadline, later callers do not wait for it."""
        part = readiness.Part("x", self.hang, shared=0)
        with mock.patch.object(readiness, "DEADLINE", 0.5), self.assertLogs("slipway.readiness", "WARNING"):
            self.assertIn("no answer", self.verdict(part))
            begin = time.monotonic()
            for _ in range(100):
                self.assertIn("no answer", self.verdict(part))
        self.assertLess(time.monotonic() - begin, 25)
        self.assertEqual(len(part.runs), 1)

    def test_a_check_given_up_makes_place_for_another_but_not_for_ever_more(self) -> None:
        """After `give_up` seconds a new check may start. While HANGING given-up checks hang, none starts."""
        part = readiness.Part("x", self.hang, give_up=0, shared=0)
        before = threads()
        with self.assertLogs("slipway.readiness", "WARNING"):
            with mock.patch.object(readiness, "DEADLINE", 0.01):
                for _ in range(20):
                    self.verdict(part)
            self.assertEqual(threads() - before, readiness.HANGING + 1)
            self.released.set()
            for attempt in part.runs:
                attempt.outcome.result(30)
            self.assertEqual(self.verdict(part), "")
        self.assertEqual(len(self.calls), readiness.HANGING + 2)

    def test_logged_once_per_change_and_on_one_line(self) -> None:
        """Each change between up and down is one log line with its reason. A part that never started is no warning."""
        part = readiness.Part("x", mock.Mock(side_effect=RuntimeError(readiness.NEVER)), shared=0)
        with self.assertLogs("slipway.readiness", "INFO") as logs:
            for check in (part.check, fine, broken):
                part.check = check
                for _ in range(3):
                    self.verdict(part)
        self.assertEqual(
            [(record.levelname, record.getMessage()) for record in logs.records],
            [
                ("INFO", f"x is down: RuntimeError: {readiness.NEVER}"),
                ("INFO", "x is up again"),
                ("WARNING", "x is down: RuntimeError: the password is s3cret and more"),
            ],
        )

    def test_pending_migrations_are_logged_once_a_container(self) -> None:
        """Of the workers of a container only the first logs that migrations are pending."""
        for worker, logs in (("2", self.assertNoLogs), ("1", self.assertLogs)):
            with mock.patch("slipway.health.process.worker", worker), logs("slipway.readiness", "WARNING"):
                self.verdict(readiness.Part("migrations", broken, shared=0))


class Answers(Patient):
    @override_settings(
        READINESS={"one": path(fine), "two": path(broken), "three": "no.such.function"},
        READINESS_BEAT={"worker": path(fine)},
    )
    def test_readyz(self) -> None:
        """If a part is down, the status is 503, which Django logs as no error. The answer has each part's state but no
        reasons; ?beat adds parts. `value` returns a function's result, or None if it fails."""
        with self.assertLogs("slipway.readiness", "WARNING"):
            self.assertEqual([readiness.value("value", path(check)) for check in (fine, broken)], ["value", None])
            with self.assertNoLogs("django.request"):
                answer = self.client.get("/readyz")
            more = self.client.get("/readyz?beat")
        self.assertEqual(answer.status_code, 503)
        self.assertEqual(
            {name: part["state"] for name, part in answer.json()["parts"].items()},
            {"one": "ok", "two": "down", "three": "down"},
        )
        self.assertNotContains(answer, "s3cret", status_code=503)
        self.assertEqual(set(more.json()["parts"]), {"one", "two", "three", "worker"})

    @override_settings(READINESS={"one": path(fine)}, READINESS_BEAT={})
    def test_all_is_well(self) -> None:
        """The answer has the release, and only a state and milliseconds for each part. It is not cached. HEAD works."""
        answer = self.client.get("/readyz")
        self.assertEqual((answer.status_code, answer["Cache-Control"]), (200, "no-store"))
        self.assertEqual(self.client.get("/healthz").json(), {"release": "development", "alive": True})
        told = answer.json()
        self.assertEqual((told["release"], told["ready"]), ("development", True))
        self.assertEqual({*told["parts"]["one"]}, {"state", "ms"})
        self.assertEqual((self.client.head("/readyz").content, self.client.post("/readyz").status_code), (b"", 405))

    @override_settings(READINESS={str(number): path(hanging) for number in range(40)})
    def test_readyz_is_in_time(self) -> None:
        """/readyz answers within 2 s even if several parts hang, because it waits for them together: 40 parts, of a
        second each, take no 40 s."""
        self.addCleanup(end_hanging)
        self.assertLess(PROMISED, 2)
        begin = time.monotonic()
        with mock.patch.object(readiness, "DEADLINE", 1), self.assertLogs("slipway.readiness", "WARNING"):
            self.assertEqual(self.client.get("/readyz").status_code, 503)
        self.assertLess(time.monotonic() - begin, 30)


class Checks(TestCase):
    def test_pending_migrations_are_named_and_asked_for_until_there_are_none(self) -> None:
        """A database with a pending migration is down. Once none was pending, the database is not asked again."""
        self.addCleanup(setattr, checks, "_migrated", False)
        checks._migrated = False
        recorder = MigrationRecorder(connection)
        recorder.record_unapplied("slipway", "0002_count")
        with self.assertRaisesMessage(checks.Down, "slipway.0002_count"):
            checks.migrations()
        recorder.record_applied("slipway", "0002_count")
        checks.migrations()
        with self.assertNumQueries(0):
            checks.migrations()

    def test_a_cache_that_forgets_is_down(self) -> None:
        """A cache that loses a value is down."""
        checks.cache()
        with (
            override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}),
            self.assertRaises(checks.Down),
        ):
            checks.cache()

    def test_heartbeats(self) -> None:
        """A part is down without a heartbeat, or with an old one."""
        for ages in ({"beat": None}, {"beat": 151}):
            with mock.patch.object(heartbeat, "ages", return_value=ages), self.assertRaises(checks.Down):
                checks.beat()
        with mock.patch.object(heartbeat, "ages", return_value={"beat": 149}):
            checks.beat()


class Plan(SimpleTestCase):
    def test_a_squashed_migration_that_is_to_be_recorded(self) -> None:
        """If a squashed migration is applied but not recorded, the plan is unknown: `migrate` still has to record it
        before the migrations that it replaces are deleted."""
        squashed = ("shop", "0001_squashed_0002")
        loader = mock.Mock(applied_migrations={squashed: None}, replacements={squashed: None})
        loader.graph.leaf_nodes.return_value, loader.graph.forwards_plan.return_value = [squashed], [squashed]
        for recorded, said in (({}, web_plan.UNKNOWN), ({squashed: None}, "[X]  shop.0001_squashed_0002\n")):
            with (
                mock.patch("django.db.migrations.loader.MigrationLoader", return_value=loader),
                mock.patch.object(MigrationRecorder, "applied_migrations", return_value=recorded),
                mock.patch.object(web_plan, "lacking", return_value=[]),  # an image has a migrations.json
            ):
                self.assertTrue(web_plan.plan().endswith(said))


class Paths(SimpleTestCase):
    def test_nginx_takes_the_same_for_probes(self) -> None:
        self.assertEqual([*probes.PATHS], [f"/{path}" for path in PROBES])
