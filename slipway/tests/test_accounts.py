"""The user model, its admin and its passwords."""

from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import reverse

from slipway.env import Env, SettingsError
from slipway.settings import shared

USERS: Any = get_user_model()
HASHERS = shared.PASSWORD_HASHERS


class Users(TestCase):
    def test_the_user_model_is_the_projects_own(self) -> None:
        """Every user is an accounts.User, in a table of this app: that cannot be changed after the first migration."""
        self.assertEqual(USERS._meta.label, "accounts.User")
        self.assertEqual(USERS._meta.db_table, "accounts_user")

    def test_superuser_by_the_command(self) -> None:
        """`make superuser` makes one that may sign in to the admin."""
        with self.settings(PASSWORD_HASHERS=HASHERS):
            call_command("createsuperuser", username="ann", email="ann@example.org", interactive=False,
                         stdout=StringIO())
            user = USERS.objects.get()
            user.set_password("a ship in a bottle")
            user.save()
            self.assertTrue(self.client.login(username="ann", password="a ship in a bottle"))
        self.assertTrue(user.is_staff and user.is_superuser)


class Passwords(SimpleTestCase):
    @override_settings(PASSWORD_HASHERS=HASHERS)
    def test_argon2(self) -> None:
        """Outside of tests a new password is kept as Argon2."""
        self.assertTrue(make_password("a ship in a bottle").startswith("argon2$argon2id$"))


class Admin(TestCase):
    def setUp(self) -> None:
        self.user = USERS.objects.create_superuser("ann", password="a ship in a bottle")

    def test_answers_where_the_settings_say(self) -> None:
        """The admin is at ADMIN_PATH, and asks visitors to sign in."""
        self.assertEqual(reverse("admin:index"), "/" + settings.ADMIN_PATH)
        self.assertRedirects(self.client.get(reverse("admin:index")),
                             reverse("admin:login") + "?next=" + reverse("admin:index"))

    def test_users_are_in_it(self) -> None:
        """Users can be listed, made and changed in the admin."""
        self.client.force_login(self.user)
        self.assertContains(self.client.get(reverse("admin:accounts_user_changelist")), "ann")
        self.assertContains(self.client.get(reverse("admin:accounts_user_add")), 'name="username"')
        self.assertContains(self.client.get(reverse("admin:accounts_user_change", args=[self.user.pk])), "ann")

    def test_keeps_to_the_content_security_policy(self) -> None:
        """The policy lets the admin load from this site alone, and no page of it has a script or a style inline."""
        self.client.force_login(self.user)
        for page in ["admin:index", "admin:accounts_user_changelist", "admin:accounts_user_add"]:
            answer = self.client.get(reverse(page))
            self.assertIn("default-src 'self'", answer["Content-Security-Policy"])
            self.assertNotRegex(answer.content.decode(), r'<style|\sstyle="|\son\w+="|<script>')


class AdminPath(SimpleTestCase):
    def path(self, text: str) -> str | None:
        env = Env({"ADMIN_PATH": text})
        path = env.url_path("ADMIN_PATH", "admin/")
        env.check()
        return path

    def test_slashes_are_put_right(self) -> None:
        """A forgotten slash at the end or one too many in front is no reason to fail."""
        for text in ["staff", "staff/", "/staff", "/staff/"]:
            self.assertEqual(self.path(text), "staff/")
        self.assertEqual(self.path("back/office-2"), "back/office-2/")
        self.assertEqual(self.path(""), "admin/")

    def test_what_is_no_path_is_refused(self) -> None:
        """What would catch other pages, or never match, is refused in a line that names the variable."""
        for text in ["/", "//", "<str:x>/", "a b", "a//b", "https://example.org/", "admin?x", "admin\n", "naïve"]:
            with self.assertRaisesMessage(SettingsError, "ADMIN_PATH is not a path", msg=text):
                self.path(text)
