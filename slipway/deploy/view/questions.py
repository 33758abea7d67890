"""What each host is asked for besides its pulse."""

from ..config import Fleet, Host
from ..server.files import by_units
from ..server.site import ends_tls


def slow_questions(fleet: Fleet, host: Host) -> list[str]:
    """Return the requests that `slipway status` sends, too, and Celery's."""
    of_app = by_units(fleet, host)
    asked = {
        "facts": of_app,
        "celery": of_app and host.has("web"),
        "services": bool(host.services),
        "backups": host in fleet.backup_hosts,
        "certificates": ends_tls(fleet, host),
    }
    return [name for name, needed in asked.items() if needed]


def questions(fleet: Fleet, host: Host) -> list[str]:
    """Return the requests without whose answers nobody knows whether the host is well."""
    return [*slow_questions(fleet, host), *(["errors"] if by_units(fleet, host) else [])]
