"""Tests that concern the whole site; an app's are in its own tests.py."""

from django.test import TestCase


class Site(TestCase):
    def test_front_page(self) -> None:
        self.assertEqual(self.client.get("/").status_code, 200)
