"""Tests of the whole site. The tests of an app are in the app's folder."""

from django.test import TestCase


class Site(TestCase):
    def test_front_page(self) -> None:
        self.assertEqual(self.client.get("/").status_code, 200)
