"""Tests of the admin of users."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

USERS: Any = get_user_model()


class Admin(TestCase):
    def test_users_are_in_it(self) -> None:
        """At ADMIN_PATH, staff list, add and change users. The policy lets the pages load files only from this site, so
        they contain no inline script or style."""
        user = USERS.objects.create_superuser("ann", password="a ship in a bottle")
        index = reverse("admin:index")
        self.assertEqual(index, "/" + settings.ADMIN_PATH)
        self.assertEqual(self.client.get(index).headers["Location"], reverse("admin:login") + "?next=" + index)
        self.client.force_login(user)
        for page, args, said in (
            ("index", [], "Users"),
            ("accounts_user_add", [], 'name="username"'),
            ("accounts_user_changelist", [], "ann"),
            ("accounts_user_change", [user.pk], "ann"),
        ):
            answer = self.client.get(reverse(f"admin:{page}", args=args))
            self.assertContains(answer, said)
            self.assertIn("default-src 'self'", answer["Content-Security-Policy"])
            self.assertNotRegex(answer.content.decode(), r'<style|\sstyle="|\son\w+="|<script>')
