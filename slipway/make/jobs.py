"""Remove background jobs (Celery, worker, beat) from a project."""

import re
from pathlib import Path, PurePath

BLOCK = r"\n?^# ---- background jobs.*\n(?:.*\n)*?# ---- end of background jobs ----\n"
SERVICE = r"^  (?:worker|beat):\n(?:    .*\n)+\n"
STEP = r"    <li>\n      <h3>Write a task</h3>\n(?:      .*\n)+    </li>\n"
# pattern of paths → regular expression of the text to remove
LINES = {
    "*/settings*.py": BLOCK,
    "Procfile.dev": r"^(?:worker|beat):.*\n",
    "compose.yaml": rf"{SERVICE}|^    BROKER_URL: .*\n",
    "deploy/*.toml": r"^\[hosts\.work1\]\n(?:\w.*\n)+\n?|, \"worker\", \"beat\"",
    "project/home/templates/home/next.html": rf"{STEP}| BROKER_URL",
    "README.md": r" BROKER_URL",
    "requirements/dev.in": r"^celery-types\n",
    "requirements/dev.txt": r"^celery-types==.*\n(?: .*\n)+|^    #   celery-types\n",
}


def leave_out() -> None:
    for path in (path for pattern in LINES for path in Path().glob(pattern)):
        path.write_text(without(str(path), path.read_text("utf-8")), "utf-8")


def without(path: str, text: str) -> str:
    lines = "|".join(lines for pattern, lines in LINES.items() if PurePath(path).match(pattern))
    return re.sub(lines, "", text, flags=re.MULTILINE) if lines else text
