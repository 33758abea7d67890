"""`python -m slipway.settings.check`: says on stderr all that is wrong with the settings, and ends with 64.

For commands of your own in docker-run.d: gunicorn, Celery and manage.py say the same when they start. What ROLE in the
environment names (web, worker, beat) is noted for the container's health check, as docker-run.sh notes it.
"""

import contextlib
import os
from pathlib import Path

from django.conf import settings

from ..env import SettingsError

ROLE = Path("/dev/shm/role")  # memory: there also where the root filesystem is read-only


def main() -> None:
    """Exit 64 where the settings are wrong, and note the role where they are not."""
    try:
        settings.INSTALLED_APPS
    except SettingsError as error:
        error.leave()
    if os.environ.get("ROLE"):
        with contextlib.suppress(OSError):  # a platform without it has checks of its own
            ROLE.write_text(os.environ["ROLE"])


if __name__ == "__main__":
    main()
