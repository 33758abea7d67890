"""Who may see /metrics and /debug/vars: nobody from outside, whatever the request says of itself."""

import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.request import split_domain_port

# What proxies add to a request that they pass on. Its presence is enough, even empty.
FORWARDING = re.compile(
    r"HTTP_(.*(FORWARD|IP$|ADDR|ENVOY|CLUSTER|PROXYUSER)|VIA$|CF_|CDN_LOOP|X_(ORIGINAL|REMOTE|HOST|SCHEME|PROXY))"
    r"|PROXY_")


def may_see(request: HttpRequest) -> bool:
    """True for a request with the token, or one that certainly came from this machine and no proxy passed on."""
    return has_token(request) or (not forwarded(request.META) and (over_unix_socket(request) or at_home(request)))


def has_token(request: HttpRequest) -> bool:
    """Whether the request brings METRICS_TOKEN."""
    token = getattr(settings, "METRICS_TOKEN", "") or ""
    kind, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return bool(token) and kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


def forwarded(meta: Mapping[str, Any]) -> bool:
    """Whether a proxy passed the request on."""
    return any(FORWARDING.match(name) for name in meta)


def over_unix_socket(request: HttpRequest) -> bool:
    """gunicorn's own word on its connection, or uvicorn's (a path without a port), which no header can forge."""
    if isinstance(request, ASGIRequest):
        path, port = request.scope.get("server") or ("", 0)
        return bool(path) and port is None
    return getattr(request.META.get("gunicorn.socket"), "family", None) == socket.AF_UNIX


def at_home(request: HttpRequest) -> bool:
    """In development, from this machine, under a local name: another one may be a foreign page's, pointed here."""
    host = split_domain_port(request.META.get("HTTP_HOST", ""))[0]
    return settings.DEBUG and is_loopback(request.META.get("REMOTE_ADDR", "")) and (
        host == "localhost" or host.endswith(".localhost") or is_loopback(host.strip("[]")))


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
