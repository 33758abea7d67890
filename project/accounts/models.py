"""The project's own user: as Django's, until you add to it. In place from the first migration, as it cannot be
swapped in later."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    pass
