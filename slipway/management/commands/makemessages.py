"""Django's makemessages for the project's own files and, unless told otherwise, for all LANGUAGES. It also compiles."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.commands.makemessages import Command as MakeMessages
from django.utils.translation import to_locale

TOP = "slipway", "vendor", "var", "wheelhouse", "static-root"  # an app in the project's package may have such a name


class Command(MakeMessages):
    """Django's makemessages, which ignores folders that are not the project's."""

    def handle(self, *args: Any, **options: Any) -> None:
        options["ignore_patterns"] = [
            *options["ignore_patterns"],
            "node_modules",
            ".venv",
            "built",
            "built.new",
            *(f"{folder}/?*" for folder in (*TOP, os.path.relpath(sys.prefix))),
        ]
        if not options["locale"] and not options["all"]:
            options["locale"] = locales()
        super().handle(*args, **options)
        call_command("compilemessages", ignore_patterns=options["ignore_patterns"], verbosity=0)


def locales() -> list[str]:
    """Return the locales of LANGUAGES, but for the one that the texts in the code are in (en-us: en, but not en-gb)."""
    own = f"{settings.LANGUAGE_CODE}-"
    names = [to_locale(code) for code, _ in settings.LANGUAGES if not own.startswith(f"{code}-")]
    if not names or not settings.is_overridden("LANGUAGES"):
        raise CommandError('LANGUAGES in settings_base.py names no language to translate to: add ("de", "Deutsch")')
    return names
