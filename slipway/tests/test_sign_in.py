"""Tests of the lock against guessed passwords, and of its log lines."""

import time
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessLog
from django.contrib.admin import AdminSite
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.cache import cache
from django.core.exceptions import BadRequest
from django.test import RequestFactory, SimpleTestCase, TestCase, override_settings
from django.urls import include, path, reverse
from django.utils import timezone

from slipway.security import hashers, sign_in

USERS: Any = get_user_model()._default_manager
PASSWORD, WRONG = "a ship in a bottle", "a secret that must stay one"
ANN, BOB = "ann@weiss.example", "ann@weiß.example"
urlpatterns = [path("admin/", AdminSite().urls), path("", include("project.home.urls"))]  # without accounts


@override_settings(AXES_ENABLED=True, ROOT_URLCONF=__name__)
class SignIn(TestCase):
    door, field, name = "admin:login", "username", ANN
    spellings = [f" {ANN}", "Ann@weiss.example", f"\uff41{ANN[1:]}", f"{ANN}\n"]

    @classmethod
    def setUpTestData(cls) -> None:
        USERS.create_superuser(cls.name, ANN, PASSWORD)

    def setUp(self) -> None:
        cache.clear()  # allauth counts there, too

    def sign_in(self, password: str, address: str = "192.0.2.1", name: str = ANN) -> Any:
        self.client.cookies.clear()
        return self.client.post(
            reverse(self.door), {self.field: name, "password": password}, headers={"X-Forwarded-For": address}
        )

    def fails(self, times: int, **extra: Any) -> Any:
        with self.assertLogs("slipway.security.sign_in", "WARNING") as logs:
            for _ in range(times):
                answer = self.sign_in(WRONG, **extra)
        return answer, logs.records

    def test_after_five_failures_the_account_is_closed_to_who_failed(self) -> None:
        """After five failures even the right password is refused from that address, but accepted from others. A success
        resets the number of failures."""
        self.fails(4)
        self.assertEqual(self.sign_in(PASSWORD).status_code, 302)
        self.assertEqual(self.fails(4)[0].status_code, 200)
        answer = self.fails(1)[0]
        self.assertEqual(answer.status_code, 429)
        self.assertTemplateUsed(answer, "429.html")
        self.assertTrue(answer.context["cooloff_timedelta"])
        with self.assertLogs("slipway.security.sign_in", "WARNING") as logs:
            self.assertEqual(self.sign_in(PASSWORD).status_code, 429)
        self.assertIn("refused after too many failures", logs.records[0].getMessage())
        self.assertEqual(self.sign_in(PASSWORD, address="192.0.2.2").status_code, 302)

    def test_after_a_quarter_of_an_hour_it_is_open_again(self) -> None:
        """The lock ends after 15 minutes, even if more attempts failed meanwhile."""
        self.fails(5)
        for minutes, status in ((14, 429), (16, 302)):
            AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=minutes))
            self.assertEqual(self.sign_in(PASSWORD).status_code, status)

    def test_nobody_shuts_out_somebody_else(self) -> None:
        """A lock affects no other account at the same address, even of a similar name, and no other address, even if a
        proxy writes IPv4 addresses as IPv6. An address that a visitor claims does not count."""
        USERS.create_superuser(BOB, BOB, PASSWORD)
        self.fails(5, address="::ffff:192.0.2.1")
        self.assertEqual(self.sign_in(PASSWORD, name=BOB, address="::ffff:192.0.2.1").status_code, 302)
        self.assertEqual(self.sign_in(PASSWORD, address="::ffff:192.0.2.2").status_code, 302)
        self.assertEqual(self.sign_in(PASSWORD, address="192.0.2.2, 192.0.2.1").status_code, 429)

    def test_no_disguise_gives_more_tries(self) -> None:
        """Another browser, or another spelling of the same name, gives no more attempts."""
        for number, name in enumerate([ANN, *self.spellings]):
            self.client.defaults["HTTP_USER_AGENT"] = f"another {number}"
            answer = self.fails(1, name=name)[0]
        self.assertEqual(answer.status_code, 429)

    def test_who_is_locked_out_leaves_no_more_in_the_database(self) -> None:
        """Failures during a lock add nothing to the database, whatever the browser's name."""
        self.fails(5)
        before = list(AccessAttempt.objects.values())
        for number in range(20):
            self.client.defaults["HTTP_USER_AGENT"] = f"another {number}"
            self.fails(1)
        self.assertFalse(AccessLog.objects.exists(), "no row that stays for ever")
        self.assertEqual(list(AccessAttempt.objects.values()), before)

    def test_each_failure_is_a_line_with_the_address_and_no_secret(self) -> None:
        """A failure's log line names the account only if it exists: other names may be typed passwords."""
        _, (record,) = self.fails(1)
        self.assertNotIn(WRONG, str(vars(record)))
        self.assertEqual(record.getMessage(), f"sign-in failed: account {ANN}, from 192.0.2.1")
        self.assertEqual((record.remote, record.account, record.path), ("192.0.2.1", ANN, reverse(self.door)))
        _, (record,) = self.fails(1, name="typed@shop.example")
        self.assertEqual(record.getMessage(), "sign-in failed: account (unknown), from 192.0.2.1")
        self.assertNotIn(WRONG, str(list(AccessAttempt.objects.values())))

    def test_a_name_that_no_database_takes(self) -> None:
        """A name that is too long or has a NUL is a bad request, not an error of the site."""
        for unfit in ({"username": "x" * 256}, {"username": "ann\0"}, {"email": "x" * 250 + "@a.example"}):
            with self.assertRaises(BadRequest):
                authenticate(RequestFactory().post("/"), **unfit, password=WRONG)

    def test_what_no_database_takes(self) -> None:
        """Texts that PostgreSQL refuses, too long or with a NUL, cause no error in any part of a sign-in request."""
        for name, headers, query in (
            ("x" * 255, {}, ""),
            ("a\0", {}, ""),
            ("c", {}, "?next=%00"),
            ("e", {"X-Forwarded-For": "x" * 300}, ""),
            ("b", {"User-Agent": "x" * 1000, "Accept": "x" * 2000}, "?next=" + "x" * 2000),
            ("d", {"X-Forwarded-For": "fe80::1%" + "x" * 300}, ""),
        ):
            with self.subTest(name[0]):
                form = {self.field: name, "password": WRONG}
                answer = self.client.post(reverse(self.door) + query, form, headers=headers)
                self.assertEqual(answer.status_code, 200)

    def test_a_network_of_ipv6_is_one_visitor(self) -> None:
        """All addresses of a /64 network share their attempts."""
        for number in range(5):
            answer, (record,) = self.fails(1, address=f"2001:db8:0:7::{number}")
            self.assertEqual(record.remote, f"2001:db8:0:7::{number or ''}")
        self.assertEqual(answer.status_code, 429)
        self.assertEqual(self.sign_in(PASSWORD, address="2001:db8:0:8::1").status_code, 302)


@override_settings(ROOT_URLCONF="project.urls")
class SignInToAccounts(SignIn):
    door, field, name = "account_login", "login", "ann"
    spellings = ["ANN@weiss.example", " ann@WEISS.example", f"{ANN}\n", "aNn@weiss.example"]


class Address(SimpleTestCase):
    def test_where_a_request_comes_from(self) -> None:
        """The address is the last one of the header, else the connection's, else None. Invalid ones do not count."""
        for forwarded, remote, found in (
            ("192.0.2.1", "", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "::1", "192.0.2.1"),
            ("", "10.0.0.1", "10.0.0.1"),
            ("evil", "10.0.0.1", "10.0.0.1"),
            ("", "", None),
            ("2001:db8:0:7::9", "", "2001:db8:0:7::"),
        ):
            request = RequestFactory().post("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded})
            self.assertEqual(sign_in.counted_as(request), found)


@override_settings(
    PASSWORD_HASHERS=["slipway.security.hashers.Argon2", "slipway.security.hashers.PBKDF2"], ROOT_URLCONF=__name__
)
class Hasher(TestCase):
    def test_there_are_only_so_many_seats(self) -> None:
        """If no seat is free, the visitor gets the page 429 at once. A seat given back can be used again."""
        user = USERS.create_user("ann", password=PASSWORD)
        start = time.monotonic()
        for name in ("ann", "nobody"):  # unknown names get the same answer: nobody learns which names exist
            with hashers.seat(), hashers.seat():
                answer = self.client.post(reverse("admin:login"), {"username": name, "password": PASSWORD})
            self.assertEqual(answer.status_code, 429)
            self.assertTemplateUsed(answer, "429.html")
            self.assertEqual(answer["Retry-After"], "5")
        self.assertLess(time.monotonic() - start, 30)
        self.assertTrue(user.check_password(PASSWORD))

    def test_imported_passwords_have_the_same_seats(self) -> None:
        """PBKDF2 takes longer than Argon2. Sign-ins of imported accounts must not occupy all threads either."""
        user = USERS.create(username="ann", password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))
        with hashers.seat(), hashers.seat():
            answer = self.client.post(reverse("admin:login"), {"username": "ann", "password": WRONG})
            self.assertEqual(answer.status_code, 429)
        with hashers.seat():
            self.assertTrue(user.check_password(PASSWORD))
        self.assertTrue(user.password.startswith("argon2$"), "hashed anew")

    def test_a_hash_of_before_stays_good_and_is_renewed(self) -> None:
        """Old hashes, which take 100 MB, stay valid and are replaced by smaller ones at the next sign-in."""
        with self.settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"]):
            user = USERS.create_user("ann", password=PASSWORD)
        self.assertIn("m=102400,", user.password)
        self.assertTrue(user.check_password(PASSWORD))
        self.assertIn("m=19456,t=2,p=1", user.password)
