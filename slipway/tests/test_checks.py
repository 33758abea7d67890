"""Tests of the errors that `manage.py check` reports if settings lack something that slipway needs. How it reports them
is tested in tests/ops/test_settings.py."""

from typing import Any
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase
from packaging.requirements import Requirement

from ..settings import checks, versions

PRODUCTION = {"SETTINGS_MODULE": "shop.settings_docker"}


def without(name: str, middleware: str) -> dict[str, Any]:
    return {name: [each for each in getattr(settings, name) if not each.endswith(middleware)]}


class Checks(SimpleTestCase):
    def reported(self, **changed: Any) -> set[str | None]:
        with self.settings(**changed):
            return {error.id for error in checks.needs()}

    def test_each_that_has_gone_is_told(self) -> None:
        """Each missing setting is reported by its own id, and nothing else is reported."""
        gone: list[dict[str, Any]] = [
            without("MIDDLEWARE", "Probes"),
            {"MIDDLEWARE": ["shop.middleware.First", *settings.MIDDLEWARE]},
            {"READINESS": {}},
            {"SERVER": "uwsgi"},
            {**PRODUCTION, "DEBUG": True},
            {**without("MIDDLEWARE", "TooMany"), "PASSWORD_HASHERS": ["slipway.security.hashers.Argon2"]},
            {**without("INSTALLED_APPS", "django_celery_beat"), "CELERY_BROKER_URL": "redis://a"},
        ]
        ids = [id for id, *_ in checks.NEEDS]
        for name, changed in zip(ids, gone, strict=True):
            with self.subTest(name):
                self.assertEqual(self.reported(**changed), {name})
        self.assertEqual(self.reported(**PRODUCTION), set())


class Versions(SimpleTestCase):
    def reported(self, **installed: str) -> list[str]:
        limits = [Requirement(line) for line in ("gunicorn>=24.1.1,<27", 'kombu<6; extra == "jobs"', "redis>=5.2")]
        with (
            mock.patch.object(versions, "requirements", lambda: limits),  # the image has no pyproject.toml
            mock.patch.object(versions, "installed_version", lambda name: installed.get(name, "")),
        ):
            return [warning.msg.partition(",")[0] for warning in versions.tested()]

    def test_what_was_not_tested_is_named(self) -> None:
        """A version below or above what was tested is named, of extras, too; not what is not installed. Containers of
        production say nothing."""
        self.assertEqual(versions.tested(), [])
        self.assertEqual(
            self.reported(gunicorn="23.0.0", kombu="99", redis="5.2.0"),
            ["gunicorn 23.0.0 is installed", "kombu 99 is installed"],
        )
        with self.settings(**PRODUCTION):
            self.assertEqual(self.reported(gunicorn="23.0.0"), [])
