"""The project's own user model, for you to extend. Django does not let you introduce one later."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    pass
