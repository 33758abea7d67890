"""Django's createsuperuser, which may well be the first that is typed: it makes the database."""

from django.contrib.auth.management.commands.createsuperuser import Command as Createsuperuser

from project.ops.prepare import is_own, prepare


class Command(Createsuperuser):

    def check_migrations(self):
        if is_own():  # what another database lacks is told if the command fails for it
            prepare(self.stdout.write)
