"""allauth's forms for passkeys. On some JSON they fail, and such errors of the site would end a deploy."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import forms


def checked(form: Any) -> Any:
    """Return a form that refuses whatever is no credential."""
    class Checked(form):  # type: ignore[misc]  # it has no types
        def full_clean(self) -> None:
            try:
                super().full_clean()
            except Exception:
                self.add_error("credential", get_adapter().validation_error("incorrect_code"))
    return Checked


add = checked(forms.AddWebAuthnForm)
authenticate = checked(forms.AuthenticateWebAuthnForm)
login = checked(forms.LoginWebAuthnForm)
reauthenticate = checked(forms.ReauthenticateWebAuthnForm)
