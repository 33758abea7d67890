"""allauth's forms for passkeys. On some JSON they fail, and such errors of the site would end a deploy."""

import json
import logging
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import forms

logger = logging.getLogger(__name__)


def storable(credential: Any) -> None:
    """Raise ValueError if PostgreSQL stores no such JSON: NaN, infinite numbers, NUL, half a character."""
    if b"\\u0000" in json.dumps(credential, ensure_ascii=False, allow_nan=False).encode():
        raise ValueError


def checked(form: Any) -> Any:
    """Return a form that refuses whatever is no credential."""

    class Checked(form):  # type: ignore[misc]  # it has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fields["credential"].validators.append(storable)
            self.fields["credential"].prepare_value = lambda value: ""  # the next page does not repeat it

        def full_clean(self) -> None:
            try:
                super().full_clean()
            except Exception:  # no ERROR, as visitors could then end a deploy; the traceback tells a fault of the code
                logger.warning("a passkey's answer could not be read", exc_info=True)
                self.add_error("credential", get_adapter().validation_error("incorrect_code"))

    return Checked


add = checked(forms.AddWebAuthnForm)
authenticate = checked(forms.AuthenticateWebAuthnForm)
login = checked(forms.LoginWebAuthnForm)
reauthenticate = checked(forms.ReauthenticateWebAuthnForm)
