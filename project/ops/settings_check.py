"""`python -m project.ops.settings_check`: says on stderr all that is wrong with the settings, and ends with 64.

The image's entrypoint asks before it starts anything. What ROLE in the environment names (web, worker, beat) is
noted for the container's health check; other commands run beside it and leave the note alone.
"""

import contextlib
import os
import sys
from pathlib import Path

from django.conf import settings

from .env import SettingsError

ROLE = Path("/dev/shm/role")  # memory: there also where the root filesystem is read-only


def main() -> None:
    """Exit 64 where the settings are wrong, and note the role where they are not."""
    try:
        settings.INSTALLED_APPS
    except SettingsError as error:
        print(error.report(), file=sys.stderr)
        sys.exit(64)
    if os.environ.get("ROLE"):
        with contextlib.suppress(OSError):  # a platform without it has checks of its own
            ROLE.write_text(os.environ["ROLE"])


if __name__ == "__main__":
    main()
