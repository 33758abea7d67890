"""The release's name, from the image's environment."""

import os

RELEASE = os.environ.get("RELEASE") or "development"
