"""Receivers of new accounts, sign-ins and new second factors."""

from typing import Any

from allauth.account import app_settings
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from axes.utils import reset
from django.contrib.auth import get_user_model, signals
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver
from django.http import HttpRequest

from ..security import sign_in
from .admin import PROVED


@receiver(pre_save, sender=get_user_model())
def without_capitals(instance: Any, **_: Any) -> None:
    """Store an address as allauth looks for it: else it would not sign in, and somebody else could sign up with it."""
    if instance.email:
        instance.email = instance.email.lower()


@receiver(post_save, sender=get_user_model())
def verify(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    """Count the address of a new superuser as verified, unless it is another account's: who may make superusers needs
    no mail to get in."""
    new = created and not raw and instance.is_superuser and instance.email
    if new and not EmailAddress.objects.is_verified(new):
        EmailAddress.objects.create(user=instance, email=new, primary=True, verified=True)


@receiver(post_save, sender=get_user_model())
def forget_replaced(instance: Any, raw: bool = False, update_fields: Any = None, **_: Any) -> None:
    """Forget the address that staff replaced in the admin: its mailbox could still set the account's password."""
    if app_settings.CHANGE_EMAIL and not raw and (update_fields is None or "email" in update_fields):
        EmailAddress.objects.filter(user=instance).exclude(email=instance.email).delete()


@receiver(signals.user_logged_in)
def forget_failures(request: HttpRequest, user: Any, **_: Any) -> None:
    """Forget wrong passwords, which count by the address that visitors typed. django-axes forgets by user name."""
    if user.email:
        reset(username=sign_in.name(request, {"email": user.email}), ip=sign_in.counted_as(request))


@receiver(authenticator_added)
def prove(request: HttpRequest, authenticator: Authenticator, **_: Any) -> None:
    """Note that the session has given this factor, as nobody adds one without using it."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        request.session[PROVED] = authenticator.pk
