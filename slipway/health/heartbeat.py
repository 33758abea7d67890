"""Heartbeats of worker and beat: each has one database row with the time of its last one, by the database's clock."""

import logging
import socket

from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now

from ..models import Heartbeat
from ..release import RELEASE

logger = logging.getLogger(__name__)

NAMES = ("worker", "beat")
LIMIT = 150  # seconds: two missed heartbeats (one a minute), and 30 s for a busy worker


def beat(name: str) -> None:
    """Record that `name` (worker or beat) is alive. If the database is locked or fails, log this and do not raise."""
    row = {"at": Now(), "host": socket.gethostname(), "release": RELEASE}
    try:
        Heartbeat.objects.update_or_create(name=name, defaults=row)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("cannot write the heartbeat of %s: %s", name, type(error).__name__)


def ages() -> dict[str, float | None]:
    """Return {"worker": seconds since its last heartbeat, "beat": …}, with None for a part that never had one.
    Raise DatabaseError or InterfaceError if the database does not answer."""
    seconds = {
        name: (now - at).total_seconds()
        for name, at, now in Heartbeat.objects.filter(name__in=NAMES).values_list("name", "at", Now())
    }
    return {name: max(0.0, seconds[name]) if name in seconds else None for name in NAMES}
