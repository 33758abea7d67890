"""Who signs in from where: for the lock that django-axes puts on guessers, and for the log."""

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
LONGEST = 255  # characters of a name that axes has a column for


def address(request: HttpRequest) -> Address | None:
    """The visitor's address, as an object of ipaddress; None where there is none. X-Forwarded-For counts by its last
    word, which the proxy before us wrote; over gunicorn's socket there is no other. ::ffff:192.0.2.1, as proxies that
    listen for both write it, is 192.0.2.1: all of IPv4 would be one network of IPv6."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    for text in (forwarded, request.META.get("REMOTE_ADDR", "")):
        with contextlib.suppress(ValueError):
            found = ipaddress.ip_address(text)
            return getattr(found, "ipv4_mapped", None) or found
    return None


def counted_as(request: HttpRequest) -> str | None:
    """What failures are counted by: the address; of IPv6 the 64 bits that are one visitor's."""
    found = address(request)
    if found is not None and found.version == 6:
        found = ipaddress.ip_network((found, 64), strict=False).network_address
    return None if found is None else str(found)


def name(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """What was typed as a name. Raises BadRequest where no database would take it."""
    found: str | None = (credentials or getattr(request, "data", request.POST)).get("username")
    if found and (len(found) > LONGEST or "\0" in found):
        raise BadRequest("no account has such a name")
    return found


@receiver(signals.user_login_failed)
def log_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A line for each failure. An account is named only if there is one: many type their password there."""
    came_from = request and address(request)
    users: Any = get_user_model()
    name = credentials.get(users.USERNAME_FIELD) or credentials.get("username") or ""
    known = users._default_manager.filter(**{users.USERNAME_FIELD: name}).exists()
    account, outcome = name if known else "none of ours", "failed"
    if getattr(request, "axes_locked_out", False):
        outcome = "refused, as there were too many failures"
    logger.warning("sign-in %s: account %s, from %s", outcome, account, came_from,
                   extra={"account": account, "remote": str(came_from or ""), "path": getattr(request, "path", "")})
