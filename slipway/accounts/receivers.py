"""What a new superuser, a sign-in and a new second factor cause."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.signals import authenticator_added
from axes.utils import reset
from django.contrib.auth import get_user_model, signals
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from ..security import sign_in
from .admin import PROVED


@receiver(post_save, sender=get_user_model())
def verify(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    """Count the address of a new superuser as verified, unless it is another account's: who may make superusers needs
    no mail to get in."""
    if created and not raw and instance.is_superuser and instance.email:
        email = instance.email.lower()
        if not EmailAddress.objects.is_verified(email):
            EmailAddress.objects.create(user=instance, email=email, primary=True, verified=True)


@receiver(signals.user_logged_in)
def forget_failures(request: HttpRequest, user: Any, **_: Any) -> None:
    """Forget wrong passwords, which count by the address that visitors typed. django-axes forgets by user name."""
    if user.email:
        reset(username=sign_in.name(request, {"email": user.email}), ip=sign_in.counted_as(request))


@receiver(authenticator_added)
def prove(request: HttpRequest, user: Any, **_: Any) -> None:
    """Note that the session has given a second factor, as nobody adds one without using it."""
    request.session[PROVED] = user.pk
