"""Tests of the pages for accounts: what the admin asks for, and attacks on sessions, accounts and forms."""

import re
import time
from types import SimpleNamespace
from typing import Any
from unittest import mock

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.db import IntegrityError
from django.test import Client, RequestFactory, TestCase, override_settings
from django.urls import reverse
from django.utils.module_loading import import_string

from slipway.web.middleware import sent_twice

USERS: Any = get_user_model()._default_manager
ANN, PASSWORD = "ann@example.org", "a ship in a bottle"
NEW = {"password1": PASSWORD, "password2": PASSWORD}


class Pages(TestCase):
    def setUp(self) -> None:
        cache.clear()  # limits of rates
        self.ann = USERS.create_superuser("ann", ANN, PASSWORD)

    def post(self, page: str, client: Client | None = None, /, **form: str) -> Any:
        return (client or self.client).post(reverse(page), form)

    def sign_in(self, client: Client | None = None, **extra: str) -> Any:
        return self.post("account_login", client, login=ANN, password=PASSWORD, **extra)

    def test_sign_up_closed(self) -> None:
        with self.settings(SIGN_UP_OPEN=False):
            self.assertTemplateUsed(self.post("account_signup", email="b@c.de", **NEW), "account/signup_closed.html")
        self.assertEqual(USERS.count(), 1)

    @override_settings(STAFF_NEED_MFA=True)
    def test_the_admin_wants_a_factor(self) -> None:
        """Staff without a factor are sent to add one, and then get in. A session from before has to give it: its
        password is not enough. Once a factor is deleted it counts no more. Who is no staff is not asked."""
        index, old = reverse("admin:index"), Client()
        for page in (index, reverse("admin:password_change")):
            self.assertRedirects(self.client.get(page, follow=True), f"{reverse('account_login')}?next={page}")
        for client in (self.client, old):
            self.sign_in(client)
            self.assertEqual(client.get(index, follow=True).request["PATH_INFO"], reverse("mfa_index"))
        self.post("account_reauthenticate", password=PASSWORD)
        secret = self.client.get(reverse("mfa_activate_totp")).context["form"].secret
        code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))
        with mock.patch("django.db.transaction.on_commit", lambda do: do()):  # this test's transaction never ends
            self.post("mfa_activate_totp", code=code)
        self.assertIn("activated", mail.outbox[-1].subject.lower())
        self.assertEqual(self.client.get(index).status_code, 200)
        for page in (index, reverse("mfa_view_recovery_codes"), reverse("mfa_add_webauthn")):
            self.post("account_reauthenticate", old, password=PASSWORD)
            self.assertEqual(old.get(page, follow=True).request["PATH_INFO"], reverse("mfa_reauthenticate"))
        Authenticator.objects.filter(type="totp").delete()
        self.assertEqual(self.client.get(index, follow=True).request["PATH_INFO"], reverse("mfa_index"))
        self.assertEqual(old.get(page, follow=True).request["PATH_INFO"], reverse("account_reauthenticate"))
        USERS.update(is_staff=False)
        self.assertEqual(self.client.get(index, follow=True).status_code, 403)

    def test_a_passkey_comes_first(self) -> None:
        """Who has one is not asked for a code, which may have to be a recovery code."""
        totp.TOTP.activate(self.ann, "A" * 32)
        Authenticator.objects.create(user=self.ann, type=Authenticator.Type.WEBAUTHN, data={})
        ways = get_adapter().get_reauthentication_methods(self.ann)
        self.assertEqual(
            [way["url"] for way in ways], [reverse(f"mfa_reauthenticate{way}") for way in ("_webauthn", "")]
        )

    def test_each_address_has_limits_of_its_own(self) -> None:
        """Twenty sign-ups of one visitor in a minute keep nobody else from it."""
        for number, address in enumerate([*["192.0.2.1"] * 21, "192.0.2.2"]):
            answer = Client(headers={"X-Forwarded-For": address}).post(
                reverse("account_signup"), {"email": f"{number}@example.org", **NEW}
            )
            self.assertEqual(answer.status_code, 429 if number == 20 else 302)

    def test_a_superuser_needs_no_mail(self) -> None:
        """The address of a new superuser counts as verified, but not one that is another account's."""
        USERS.create_superuser("mate", ANN, PASSWORD)
        self.assertEqual(EmailAddress.objects.get(verified=True).user, self.ann)

    def test_capitals(self) -> None:
        """An address that staff wrote with capitals signs in, and is nobody else's."""
        USERS.create_user("bob", "Bob@example.org", PASSWORD)
        self.assertEqual(self.post("account_login", login="Bob@example.org", password=PASSWORD).status_code, 302)
        self.post("account_signup", Client(), email="bob@example.org", **NEW)
        self.assertEqual(USERS.count(), 2)

    def test_a_replaced_address(self) -> None:
        """An address that staff replaced in the admin sets no password, and signs nobody in."""
        self.ann.email = "ann@example.com"
        self.ann.save()
        self.post("account_reset_password", email=ANN)
        self.assertIn("Unknown", mail.outbox[-1].subject)
        self.assertEqual(self.sign_in().status_code, 200)

    def test_fixation(self) -> None:
        """A session's key of before the second factor is worth nothing afterwards. A recovery code works once."""
        [code, *_] = RecoveryCodes.activate(totp.TOTP.activate(self.ann, "A" * 32).instance.user).get_unused_codes()
        attacker, late = Client(), Client()
        for client in (self.client, late):
            self.sign_in(client)
        attacker.cookies["sessionid"] = self.client.cookies["sessionid"].value
        for client in (self.client, late):
            self.post("mfa_authenticate", client, code=code)
        self.assertEqual(
            [client.get(reverse("account_email")).status_code for client in (self.client, attacker, late)],
            [200, 302, 302],
        )

    def test_open_redirect(self) -> None:
        """No page sends a visitor to another site."""
        for place in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "https://["):
            for answer in (self.sign_in(next=place), self.post("account_logout", next=place)):
                self.assertEqual(answer["Location"], "/")

    def test_who_has_an_account(self) -> None:
        """Sign-in, sign-up and reset answer alike whether or not there is an account: with as many mails and hashed
        passwords, which take time."""
        for page, name, form in (
            ("account_login", "login", {"password": "wrong"}),
            ("account_signup", "email", NEW),
            ("account_reset_password", "email", {}),
        ):
            told = []
            for email in (ANN, "bob@example.org"):
                mail.outbox.clear()
                with mock.patch.object(MD5PasswordHasher, "encode", autospec=True, return_value="md5$a$b") as hashed:
                    answer = self.post(page, Client(), **{name: email, **form})
                shown = re.sub(rf'value="\w{{64}}"|{email}', "", answer.content.decode())
                told.append((answer.status_code, answer.get("Location"), shown, len(mail.outbox), hashed.call_count))
            self.assertEqual(*told)

    def test_what_no_database_takes(self) -> None:
        """Addresses that are too long or have a NUL are refused."""
        for email in ("x" * 300 + "@example.org", "a\0b@example.org"):
            self.assertEqual(self.post("account_signup", email=email, **NEW).status_code, 200)

    def test_twice_at_once(self) -> None:
        """Of two sign-ups at once, as by a double click, the second is asked to wait; the log says why."""
        with (
            mock.patch("allauth.account.adapter.generate_unique_username", return_value="ann"),
            self.assertLogs("slipway.web.middleware", "WARNING") as logs,
        ):
            self.assertEqual(self.post("account_signup", email="ann@example.com", **NEW).status_code, 429)
        self.assertTrue(logs.records[0].exc_info)

    def test_what_is_not_twice_at_once(self) -> None:
        """What an app's own view enters twice, or what a form for accounts lacks, stays an error."""
        for module, text in (("shop.views", "UNIQUE constraint failed"), ("allauth.x", "NOT NULL constraint failed")):
            request: Any = RequestFactory().post("/")
            request.resolver_match = SimpleNamespace(func=SimpleNamespace(__module__=module))
            self.assertFalse(sent_twice(request, IntegrityError(text)), module)

    def test_what_is_no_passkey(self) -> None:
        """Each form refuses JSON that is no credential, or that PostgreSQL does not store."""
        ann = {"user": self.ann}
        for step, more in (("authenticate", ann), ("login", {}), ("reauthenticate", ann), ("add", ann)):
            form = import_string(settings.MFA_FORMS[f"{step}_webauthn"])
            with self.assertLogs("slipway.accounts.forms", "WARNING") as logs:
                for bad in (
                    "[]",
                    '{"id": []}',
                    '{"id": "YQ", "rawId": "YQ", "response": {"clientDataJSON": "YQ", "attestationObject": "YQ"}}',
                ):
                    self.assertIn("credential", form({"credential": bad}, **more).errors)
            self.assertTrue(logs.records[0].exc_info, "a fault of the code would pass for the visitor's")
        for bad in ('{"x": "\\u0000"}', '{"x": "\\ud800"}', '{"x": 1e999}'):
            with mock.patch("allauth.mfa.webauthn.forms.auth"):  # it ignores what it does not know
                refused = form({"credential": bad}, **ann)
                self.assertIn("credential", refused.errors)
                self.assertTrue(refused.as_div().encode())
