"""Django's createsuperuser, which may well be the first that is typed: it makes the database."""

from django.contrib.auth.management.commands.createsuperuser import Command as Createsuperuser

from slipway.schema.database import is_own, prepare


class Command(Createsuperuser):

    """Django's, on a database that is up to date."""

    def check_migrations(self) -> None:
        """Migrate the project's own file."""
        if is_own():  # what another database lacks is told if the command fails for it
            prepare(self.stdout.write)
