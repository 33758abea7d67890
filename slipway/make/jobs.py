"""The parts of files that need background jobs (Celery, worker, beat). Comments mark them."""

import re

PATHS = ("project/settings*.py", "project/home/templates/home/next.html", "Procfile.dev", "compose.yaml",
         "deploy/production.toml", "requirements/dev.in")
BLOCK = re.compile(r"((?<=\n)\n)?^.*---- background jobs.*\n(?:.*\n)*?.*---- end of background jobs ----.*\n", re.MULTILINE)


def without(text: str) -> str:
    return BLOCK.sub("", text)
