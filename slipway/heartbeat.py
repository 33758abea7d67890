"""Are worker and beat alive? Each leaves a row in the database when it works; how old it is tells."""

import logging
import socket

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from .models import Heartbeat

logger = logging.getLogger(__name__)

NAMES = ("worker", "beat")
LIMIT = 150  # seconds: beat sends one a minute, so two were missed, and the worker has half a minute to get to it


def beat(name: str) -> None:
    """Write that the part `name` ("worker" or "beat") is alive. A database that is locked or away is logged and no
    more, as neither part may end of it."""
    row = {"at": timezone.now(), "host": socket.gethostname(), "release": settings.RELEASE}
    try:
        Heartbeat.objects.update_or_create(name=name, defaults=row)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("the heartbeat of %s was not written: %s", name, type(error).__name__)


def ages() -> dict[str, float | None]:
    """{"worker": seconds since its last heartbeat, "beat": …}, None for one that never had any. Older than LIMIT
    means it is not running. Raises DatabaseError where the database is away."""
    now = timezone.now()
    found = dict(Heartbeat.objects.filter(name__in=NAMES).values_list("name", "at"))
    return {name: max(0.0, (now - found[name]).total_seconds()) if name in found else None for name in NAMES}
