"""Which release this is: the image says so in its environment; a checkout is in development."""

import os

RELEASE = os.environ.get("RELEASE") or "development"
