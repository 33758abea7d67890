"""The project's own user model, for you to extend. Replacing Django's user model later would be hard."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """The site's user: add your fields here."""
