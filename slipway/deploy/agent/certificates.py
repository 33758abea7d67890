"""Tell when the certificates end that this host's nginx shows visitors: a renewed file may wait for a reload."""

from __future__ import annotations

import calendar
import contextlib
import re
import time
from collections.abc import Mapping
from typing import TypedDict

from . import disk, http
from .host import Host
from .message_types import Place, Time
from .site_check import LISTEN, NAMES

DAY, SOON = 86400, 14  # seconds of a day; days before its end in which a certificate is told of
# In a certificate's DER: the sequence of two times in which it is valid. Those before 2050 have no century.
VALIDITY = re.compile(rb"\x30.(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)", re.DOTALL)


class Served(TypedDict):
    """The ends of certificates, and the time by this host's clock."""

    ends: dict[str, Time]  # the first name of a site → when its certificate ends
    now: Time


def expiries(host: Host) -> Served:
    """Return when the certificates of the app's site and of its balancer's end, of those that nginx shows now."""
    ends: dict[str, float] = {}
    for name in (host.app, host.app + "-balancer"):
        text = disk.read(f"{host.root}/etc/nginx/{name}/public.conf") or ""
        for (address, port, tls), names in zip(LISTEN.findall(text)[-1:], NAMES.findall(text)[-1:]):
            first = names.split()[0].replace("*", "any").replace("_", "localhost")
            with contextlib.suppress(OSError):  # an nginx that does not answer is told of elsewhere
                if tls:
                    ends[first] = expiry_of(fetch_certificate((address or "127.0.0.1", int(port)), first))
    return {"ends": ends, "now": time.time()}


def fetch_certificate(place: Place, name: str) -> bytes:
    with http.send_request(place, "", 5, name) as connection:
        return connection.getpeercert(True)  # type: ignore[attr-defined, no-any-return]  # it is an SSLSocket


def expiry_of(certificate: bytes) -> float:
    """Return when a certificate ends, 0 if it does not say so."""
    validity = VALIDITY.search(certificate)
    if not validity:
        return 0
    short, whole = validity.groups()
    text = (whole or (b"19" if short >= b"50" else b"20") + short).decode()
    return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%S"))


def expiring_lines(ends: Mapping[str, float], now: float, days: float) -> list[str]:
    """Return a line for each certificate that has ended, or ends within so many days."""
    return [
        f"the certificate of {name} {'ends' if end > now else 'ended'} on"
        f" {time.strftime('%Y-%m-%d', time.gmtime(end))}: renew it there, then run systemctl reload nginx"
        for name, end in ends.items()
        if end - now < days * DAY
    ]
