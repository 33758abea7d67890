"""The site's own decisions in place of django-allauth's."""

from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.validators import MaxLengthValidator
from django.http import HttpRequest

from ..security.sign_in import counted_as


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # it has no types
    """allauth's decisions, as the rest of the site takes them."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGN_UP_OPEN)

    def clean_email(self, email: str) -> str:
        """Refuse an address that the database cannot store: forms take up to 320 characters."""
        MaxLengthValidator(app_settings.EMAIL_MAX_LENGTH)(email)
        return str(super().clean_email(email))

    def send_account_already_exists_mail(self, email: str) -> None:
        """Take as long as a new account, whose password is hashed: nobody learns which addresses have one."""
        make_password(email)
        super().send_account_already_exists_mail(email)

    def is_safe_url(self, url: str) -> bool:
        """Refuse a `next` that is no address, such as https://[: it must not be an error of the site."""
        try:
            return bool(super().is_safe_url(url))
        except ValueError:
            return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return counted_as(request) or "unknown"

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Confirm changes by a second factor, if there is one: a password alone must not replace it. A passkey comes
        first, as a code may have to be a recovery code. These codes alone, of a deleted factor, are none."""
        ways: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not is_mfa_enabled(user, [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]):
            return ways
        return [way for way in ways[::-1] if way["id"].startswith("mfa")]

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Leave wrong passwords to django-axes: allauth counts them by account alone, so anyone could lock anyone."""
