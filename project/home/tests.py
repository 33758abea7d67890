"""Tests of the start page. You may change its wording: no test checks it."""

import time
from contextlib import contextmanager
from threading import Event
from unittest import mock

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache.backends.locmem import LocMemCache
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from slipway.health import time_limit
from slipway.health.parts import parts

WELCOME = "home/welcome.html"


class NoCache(LocMemCache):
    def validate_key(self, key):
        raise AssertionError("the cache was asked")


def database(does):
    return mock.patch.object(BaseDatabaseWrapper, "cursor", lambda self: does())


def refuse():
    raise OperationalError("connection refused")


@contextmanager
def hanging_database():
    end = Event()
    try:
        with database(lambda: (end.wait(60), refuse())):
            yield
    finally:
        end.set()


def answers(**states):
    return mock.patch(
        "slipway.readiness.ask", lambda beat: {name: {"state": state, "ms": 1.5} for name, state in states.items()}
    )


def heartbeats(**ages):
    return mock.patch("slipway.readiness.value", lambda name, path: ages)


class Visitors(TestCase):
    def test_welcome(self) -> None:
        answer = self.client.get("/")
        self.assertTemplateUsed(answer, WELCOME)
        self.assertTemplateNotUsed(answer, "home/home.html")
        self.assertNotContains(answer, "part-database")

    @override_settings(CACHES={"default": {"BACKEND": "project.home.tests.NoCache"}})
    def test_no_service_is_touched(self) -> None:
        with self.assertNumQueries(0), mock.patch("slipway.readiness.ask", side_effect=AssertionError):
            answer = self.client.get("/")
        self.assertEqual(answer.status_code, 200)
        self.assertFalse(answer.cookies)
        self.assertEqual(answer["Vary"], "Accept-Language", "somebody looked into the session")

    def test_database_down(self) -> None:
        for cookie in ["", "k" * 32]:
            self.client.cookies[settings.SESSION_COOKIE_NAME] = cookie
            with database(refuse):
                self.assertTemplateUsed(self.client.get("/"), WELCOME)

    def test_database_hangs(self) -> None:
        self.client.cookies[settings.SESSION_COOKIE_NAME] = "k" * 32
        started = time.monotonic()
        with hanging_database():
            self.assertTemplateUsed(self.client.get("/"), WELCOME)
            self.assertLess(time.monotonic() - started, 10)


class Users(TransactionTestCase):
    def sign_in(self, **rights):
        self.client.force_login(get_user_model().objects.create_user("ann", **rights))

    def test_staff(self) -> None:
        self.sign_in(is_staff=True)
        answer = self.client.get("/")
        self.assertEqual(answer.context["release"], settings.RELEASE)
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertLessEqual({*settings.READINESS}, {part.name for part in answer.context["parts"]})

    def test_staff_of_a_deployed_site_are_not_told_to_start_things_by_hand(self) -> None:
        self.sign_in(is_staff=True)
        with answers(database="ok", worker="down"), heartbeats():
            answer = self.client.get("/")
        self.assertEqual([part.command for part in answer.context["parts"]], ["", "slipway logs"])

    def test_others_are_visitors(self) -> None:
        self.sign_in()
        self.assertTemplateUsed(self.client.get("/"), WELCOME)


@override_settings(DEBUG=True)
class Development(SimpleTestCase):
    def test_everybody_sees_what_is_running(self) -> None:
        with answers(database="ok", cache="ok"), heartbeats():
            answer = self.client.get("/")
        self.assertTemplateUsed(answer, "home/home.html")
        self.assertEqual((answer.context["state"], len(answer.context["parts"])), ("up", 2))

    def test_what_is_down_says_what_to_type(self) -> None:
        for name, command in [("worker", "make worker"), ("beat", "make beat"), ("migrations", "make migrate")]:
            with answers(**{"database": "ok", name: "down"}), heartbeats():
                answer = self.client.get("/")
            self.assertEqual([part.command for part in answer.context["parts"]], ["", command])
            self.assertEqual((answer.context["state"], answer.context["down"]), ("down", [name]))

    def test_what_was_not_started_is_no_fault(self) -> None:
        """Show "off" for a worker or beat that never started, but "down" if the database is down."""
        with answers(database="ok", worker="down", beat="ok"), heartbeats(worker=None, beat=1.0):
            answer = self.client.get("/")
        told = [answer.context[name] for name in ("state", "off", "down")]
        self.assertEqual(told, ["off", ["worker"], []])
        with answers(database="down", worker="down"), heartbeats(worker=None):
            answer = self.client.get("/")
        self.assertEqual(answer.context["down"], ["database", "worker"])


class Parts(SimpleTestCase):
    def about(self, **ages):
        with answers(database="ok", worker="down", beat="ok"), heartbeats(**ages):
            return {part.name: part.about for part in parts()}

    def test_heartbeats_in_words(self) -> None:
        self.assertEqual(self.about(worker=None, beat=12.4)["worker"], "No heartbeat yet")
        self.assertEqual(self.about(worker=None, beat=12.4)["beat"], "Heartbeat 12 s ago")
        self.assertEqual(self.about(worker=7200.0, beat=1.0)["worker"], "Last heartbeat 120 minutes ago")

    def test_no_heartbeats_of_a_database_that_is_down(self) -> None:
        never = mock.patch("slipway.readiness.value", side_effect=AssertionError)
        with answers(database="down", worker="down"), never:
            self.assertEqual([part.state for part in parts()], ["down", "down"])

    @override_settings(DEBUG=True, CELERY_BROKER_URL="amqp://user:hidden@broker.example", READINESS={})
    def test_no_address_is_shown(self) -> None:
        """A part shows its kind, such as RabbitMQ, but no address. Parts that the project added show only their
        state."""
        with answers(database="ok", cache="ok", broker="down", search="down"), heartbeats():
            found = {part.name: part for part in parts()}
        self.assertEqual(found["broker"].about, "RabbitMQ")
        self.assertNotIn("hidden", str(found))
        self.assertEqual((found["search"].state, found["search"].about), ("down", ""))


class Patience(SimpleTestCase):
    def test_too_many_waiting(self) -> None:
        """While eight calls wait for a hanging service, a ninth fails at once. Later, calls work again."""
        end = Event()
        for _ in range(8):
            with self.assertRaises(TimeoutError):
                time_limit.within(0, end.wait)
        with self.assertRaisesMessage(TimeoutError, "too many"):
            time_limit.within(60, end.wait)
        end.set()
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.assertEqual(time_limit.within(30, lambda: "done"), "done")
            except TimeoutError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def test_errors_are_raised(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            time_limit.within(30, lambda: 1 / 0)
