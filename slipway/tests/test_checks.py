"""Tests of the errors that `manage.py check` reports if settings lack something that slipway needs."""

from typing import Any
from unittest import mock

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import SimpleTestCase, override_settings

from .. import env
from ..media import media
from ..settings import checks
from ..values import storage

PRODUCTION = {"SETTINGS_MODULE": "shop.settings_docker", "STATIC_ROOT": "/app/static-root"}


def without(name: str, middleware: str) -> dict[str, Any]:
    return {name: [each for each in getattr(settings, name) if not each.endswith(middleware)]}


class Checks(SimpleTestCase):
    def told(self, **changed: Any) -> set[str | None]:
        with self.settings(**changed):
            return {error.id for error in checks.needs()}

    def test_each_that_has_gone_is_told(self) -> None:
        """Each missing setting is reported by its own id, and nothing else is reported."""
        gone: list[dict[str, Any]] = [
            without("INSTALLED_APPS", "slipway"), without("MIDDLEWARE", "RequestId"), without("MIDDLEWARE", "Probes"),
            without("MIDDLEWARE", ".Metrics"), {"MIDDLEWARE": ["shop.middleware.First", *settings.MIDDLEWARE]},
            {"READINESS": {}}, {**PRODUCTION, "STATIC_ROOT": "/app/static"},
            {**PRODUCTION, "DEBUG": True},
            {**without("MIDDLEWARE", "TooMany"), "PASSWORD_HASHERS": ["slipway.security.hashers.Argon2"]},
            {**without("INSTALLED_APPS", "django_celery_beat"), "CELERY_BROKER_URL": "redis://a"},
            {
                "INSTALLED_APPS": [*{*settings.INSTALLED_APPS, "slipway.files"}], "MEDIA_URL": "/none/",
                "STORAGES": {**settings.STORAGES, "default": storage("database:")}}]
        ids = [need.id for need in checks.NEEDS]
        for name, changed in zip(ids, gone, strict=True):
            with self.subTest(name):
                self.assertEqual(self.told(**changed), {name})
        self.assertEqual(self.told(**PRODUCTION), set())

    def test_nobody_checks_the_environment(self) -> None:
        """Settings that read env but do not end with env.check() are reported."""
        own = env.Env({})
        own.text("KEY", example="abc")
        with mock.patch.object(env, "env", own):
            self.assertEqual([error.id for error in env.ends_with_check()], ["slipway.E014"])
        self.assertEqual(env.ends_with_check(), [])

    @override_settings(DEBUG=True, MEDIA_URL="")
    def test_without_media_url(self) -> None:
        """Without MEDIA_URL no pattern serves uploads: it would match every URL."""
        self.assertEqual(media(), [])

    def test_in_a_line_by_the_command(self) -> None:
        with self.settings(READINESS={}), self.assertRaises(SystemCheckError) as caught:
            call_command("check")
        self.assertIn('\n?: (slipway.E006) READINESS names no checks: a release would count as ready even without ',
                      str(caught.exception))
