"""Django's runserver, which first prepares the development database."""

import os
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import Command as Runserver
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from slipway.schema.database import is_own, prepare, tell


class Command(Runserver):
    def run(self, **options: Any) -> None:
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":  # once, not at each reload
            prepare(self.stdout.write if is_own() else lambda line: None)  # else check_migrations() prints the warning
        super().run(**options)

    def check_migrations(self) -> None:
        tell(self.stdout.write)
