"""None of this asserts what a page says in words: those are yours to change."""

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
from django.urls import reverse

from . import time_limit
from .parts import parts

WELCOME = "home/welcome.html"


class NoCache(LocMemCache):
    """A cache that nobody may touch."""

    def validate_key(self, key):
        raise AssertionError("the cache was asked")


def database(does):
    """While in use, every connection does this when it is asked for a cursor, in whichever thread."""
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
    """As the readiness of parts in these states."""
    return mock.patch("slipway.readiness.ask", lambda beat: {
        name: {"state": state, "ms": 1.5} for name, state in states.items()})


def heartbeats(**ages):
    return mock.patch("slipway.readiness.value", lambda name, path: ages)


class Visitors(TestCase):
    def test_welcome(self) -> None:
        """A visitor of a deployed site is welcomed, and is told nothing of what runs."""
        answer = self.client.get("/")
        self.assertTemplateUsed(answer, WELCOME)
        self.assertTemplateNotUsed(answer, "home/home.html")
        self.assertNotContains(answer, reverse("home-running"))

    @override_settings(CACHES={"default": {"BACKEND": "project.home.tests.NoCache"}})
    def test_no_service_is_touched(self) -> None:
        """The welcome asks no database, cache or broker, and leaves no session."""
        with self.assertNumQueries(0), mock.patch("slipway.readiness.ask", side_effect=AssertionError):
            answer = self.client.get("/")
        self.assertEqual(answer.status_code, 200)
        self.assertFalse(answer.cookies)
        self.assertFalse(answer.has_header("Vary"), "somebody looked into the session")

    def test_database_down(self) -> None:
        """The welcome comes although the database is down, also to who brings a session."""
        for cookie in ["", "k" * 32]:
            self.client.cookies[settings.SESSION_COOKIE_NAME] = cookie
            with database(refuse):
                self.assertTemplateUsed(self.client.get("/"), WELCOME)

    def test_database_hangs(self) -> None:
        """Who brings a session while the database hangs is welcomed after 2 s."""
        self.client.cookies[settings.SESSION_COOKIE_NAME] = "k" * 32
        started = time.monotonic()
        with hanging_database():
            self.assertTemplateUsed(self.client.get("/"), WELCOME)
            self.assertLess(time.monotonic() - started, 10)

    def test_what_is_running_is_not_theirs(self) -> None:
        """The address that the page's script asks is not there for visitors."""
        with self.assertLogs("django.request"):
            self.assertEqual(self.client.get(reverse("home-running")).status_code, 404)


class Users(TransactionTestCase):
    def sign_in(self, **rights):
        self.client.force_login(get_user_model().objects.create_user("ann", **rights))

    def test_staff(self) -> None:
        """Staff see each part that the settings name, its state and how long its check took."""
        self.sign_in(is_staff=True)
        for path in ("/", reverse("home-running")):
            answer = self.client.get(path)
            self.assertEqual(answer.context["release"], settings.RELEASE)
            self.assertIn("no-store", answer["Cache-Control"])
        for name in settings.READINESS:
            self.assertContains(answer, f'<li id="part-{name}"')
        self.assertRegex(answer.content.decode(), r'class="ms">\d+\.\d ms<')

    def test_staff_of_a_deployed_site_are_not_told_to_start_things_by_hand(self) -> None:
        """On a deployed site a part that is down says where to look, not what starts it on one's own machine."""
        self.sign_in(is_staff=True)
        with answers(database="ok", worker="down"), heartbeats():
            answer = self.client.get(reverse("home-running"))
        self.assertContains(answer, "make logs")
        self.assertNotContains(answer, "make worker")

    def test_others_are_visitors(self) -> None:
        """Who is signed in but not staff sees what visitors see."""
        self.sign_in()
        self.assertTemplateUsed(self.client.get("/"), WELCOME)
        with self.assertLogs("django.request"):
            self.assertEqual(self.client.get(reverse("home-running")).status_code, 404)


@override_settings(DEBUG=True)
class Development(SimpleTestCase):
    def test_everybody_sees_what_is_running(self) -> None:
        """In development the page tells everybody, without asking the database who they are."""
        with answers(database="ok", cache="ok"), heartbeats():
            answer = self.client.get("/")
        self.assertTemplateUsed(answer, "home/home.html")
        self.assertEqual((answer.context["state"], len(answer.context["parts"])), ("up", 2))

    def test_what_is_down_says_what_to_type(self) -> None:
        """A part that is down names the command that brings it up, and is counted."""
        for name, command in [("worker", "make worker"), ("beat", "make beat"), ("migrations", "make migrate")]:
            with answers(**{"database": "ok", name: "down"}), heartbeats():
                answer = self.client.get(reverse("home-running"))
            self.assertContains(answer, f"<kbd>{command}</kbd>")
            self.assertEqual(answer.context["down"], [name])
            self.assertContains(answer, 'data-state="down"')

    def test_what_was_not_started_is_no_fault(self) -> None:
        """Worker and beat that do not run are off, with what to type; they are down where nobody can know."""
        with answers(database="ok", worker="down", beat="ok"), heartbeats(worker=None, beat=1.0):
            answer = self.client.get(reverse("home-running"))
        told = [answer.context[name] for name in ("state", "off", "down")]
        self.assertEqual(told, ["off", ["worker"], []])
        self.assertContains(answer, "<kbd>make worker</kbd>")
        with answers(database="down", worker="down"), heartbeats(worker=None):
            answer = self.client.get(reverse("home-running"))
        self.assertEqual(answer.context["down"], ["database", "worker"])

    def test_the_script_gets_the_section_alone(self) -> None:
        """What the script asks for is the section, not the page around it."""
        with answers(database="ok"), heartbeats():
            answer = self.client.get(reverse("home-running")).content.decode()
        self.assertTrue(answer.startswith('<section id="running"'))
        self.assertNotIn("<html", answer)


class Parts(SimpleTestCase):
    def about(self, **ages):
        with answers(database="ok", worker="down", beat="ok"), heartbeats(**ages):
            return {part.name: part.about for part in parts()}

    def test_heartbeats_in_words(self) -> None:
        """Worker and beat tell how old their last heartbeat is, or that there was none."""
        self.assertEqual(self.about(worker=None, beat=12.4)["worker"], "No heartbeat yet")
        self.assertEqual(self.about(worker=None, beat=12.4)["beat"], "Heartbeat 12 s ago")
        self.assertEqual(self.about(worker=7200.0, beat=1.0)["worker"], "Last heartbeat 120 minutes ago")

    def test_no_heartbeats_of_a_database_that_is_down(self) -> None:
        """With the database down nobody waits for heartbeats as well."""
        never = mock.patch("slipway.readiness.value", side_effect=AssertionError)
        with answers(database="down", worker="down"), never:
            self.assertEqual([part.state for part in parts()], ["down", "down"])

    @override_settings(DEBUG=True, CELERY_BROKER_URL="amqp://user:hidden@broker.example", READINESS={})
    def test_no_address_is_shown(self) -> None:
        """A part tells of which kind it is, never where, nor its password; a part of one's own needs no words."""
        with answers(database="ok", cache="ok", broker="down", search="down"), heartbeats():
            found = {part.name: part for part in parts()}
        self.assertEqual(found["broker"].about, "RabbitMQ")
        self.assertNotIn("hidden", str(found))
        self.assertEqual((found["search"].state, found["search"].about), ("down", ""))


class Patience(SimpleTestCase):
    def test_too_many_waiting(self) -> None:
        """While eight wait for a service that hangs, the next are turned away at once; afterwards all is as before."""
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
        """What the function raises reaches who asked."""
        with self.assertRaises(ZeroDivisionError):
            time_limit.within(30, lambda: 1 / 0)
