"""The address and account name of a sign-in, for the log and for django-axes, which locks accounts."""

import contextlib
import ipaddress
import logging
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from django.contrib.auth import get_user_model, signals
from django.core.exceptions import BadRequest
from django.dispatch import receiver
from django.http import HttpRequest

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
LONGEST = 255  # characters in the name column of axes


def address(request: HttpRequest) -> Address | None:
    """Return the visitor's IP address, or None if unknown. The site's proxy writes this address as the last word of
    X-Forwarded-For. ::ffff:192.0.2.1 becomes 192.0.2.1: otherwise all IPv4 addresses would share one IPv6 network."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    for text in (forwarded, request.META.get("REMOTE_ADDR", "")):
        with contextlib.suppress(ValueError):
            parsed = ipaddress.ip_address(text)
            return getattr(parsed, "ipv4_mapped", None) or parsed
    return None


def counted_as(request: HttpRequest) -> str | None:
    """Return the address for counting failed sign-ins. For IPv6 return the /64 network: one visitor may own it all."""
    visitor = address(request)
    if visitor is not None and visitor.version == 6:
        visitor = ipaddress.ip_network((visitor, 64), strict=False).network_address
    return None if visitor is None else str(visitor)


def name(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """Return the typed name. The case of an e-mail address does not count, as for allauth, which takes one also as a
    name. Look-alikes count: they are others' addresses. Raise BadRequest if it could not be stored."""
    typed = credentials or getattr(request, "data", request.POST)
    account: str | None = typed.get("email") or typed.get("username")
    account = account.lower() if account and "@" in account else account
    if account and (len(account) > LONGEST or "\0" in account):
        raise BadRequest("the account name is too long or has a NUL character")
    return account


@receiver(signals.user_login_failed)
def log_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Log a failed sign-in. Show only names of existing accounts: people type passwords into the name field."""
    came_from = request and address(request)
    users: Any = get_user_model()
    field = users.EMAIL_FIELD if "email" in credentials else users.USERNAME_FIELD
    name = credentials.get(field) or credentials.get("username") or ""
    exists = users._default_manager.filter(**{field: name}).exists()
    account = name if exists else "(unknown)"
    outcome = "failed"
    if getattr(request, "axes_locked_out", False):
        outcome = "refused after too many failures"
    logger.warning(
        "sign-in %s: account %s, from %s",
        outcome,
        account,
        came_from,
        extra={"account": account, "remote": str(came_from or ""), "path": getattr(request, "path", "")},
    )
