"""The parts of files that a project may go without. Comments mark their blocks."""

import re

MARKS = {"accounts": "accounts", "jobs": "background jobs"}
PATHS = (
    "project/settings*.py",
    "project/urls.py",
    "project/home/templates/home/*.html",
    "Procfile.dev",
    "compose.yaml",
    "deploy/production.toml",
)


def without(text: str, *parts: str) -> str:
    """Remove the blocks of these parts, each with the empty line before it."""
    for mark in map(MARKS.__getitem__, parts):
        text = re.sub(rf"((?<=\n)\n)?^.*---- {mark}.*\n(.*\n)*?.*---- end of {mark} ----.*\n", "", text, flags=re.M)
    return text
