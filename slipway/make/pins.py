"""Pin the package in vendor/: write its version to requirements.in, its hash to requirements.txt."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from slipway.make import package

WANTED, PINNED = Path("requirements.in"), Path("requirements.txt")
FIND = "--find-links vendor"
BEGUN = """# Packages of production. `make requirements` compiles this file into requirements.txt.

# Slipway, with the packages that it needs. `make template-update` brings its next version.
{find}
slipway-django{jobs}=={version}

# Yours: django, and the packages of your apps.
{own}
"""
ENTRY = re.compile(r"^(\S[^\s;\\]*)==.*(?:\n +.*)*\n", re.MULTILINE)  # a pin with its hashes and comments
LINE = re.compile(r"^slipway-django(\[\w+\])?==\S+", re.MULTILINE)


def begin(wheel: Path, jobs: bool) -> None:
    """Write requirements.in (the package and django) and requirements.txt (the template's pins and the package's)."""
    [django] = re.findall("^django[<>=].*$", WANTED.read_text(), re.MULTILINE)
    text = PINNED.read_text() if jobs else without_jobs(PINNED.read_text())
    WANTED.write_text(BEGUN.format(find=FIND, jobs="[jobs]" * jobs, version=version(wheel), own=django))
    PINNED.write_text(f"{FIND}\n{with_pin(by_package(text), pin(wheel))}")


def replace(wheel: Path) -> None:
    WANTED.write_text(LINE.sub(rf"slipway-django\1=={version(wheel)}", WANTED.read_text()))
    PINNED.write_text(with_pin(PINNED.read_text(), pin(wheel)))


def with_pin(text: str, entry: str) -> str:
    """Return the sorted pins with `entry` instead of slipway-django's old pin."""
    others = ENTRY.sub(lambda found: "" if found[1].startswith("slipway-django") else found[0], text)
    after = next((found.start() for found in ENTRY.finditer(others) if found[1] > "slipway-django"), len(others))
    return others[:after] + entry + others[after:]


def by_package(text: str) -> str:
    """In comments of the template's pins, replace requirements.in by slipway-django. For django, name both."""
    def told(found: re.Match[str]) -> str:
        if found[1] == "django":  # a project's own requirements.in names django, too
            return f"{found[0]}    #   slipway-django\n"
        entry = re.sub("-r requirements.in$", "slipway-django", found[0], flags=re.MULTILINE)
        return re.sub(r"( +#   .*\n)+$", lambda lines: "".join(sorted(lines[0].splitlines(keepends=True))), entry)
    return ENTRY.sub(told, text)


def ours_alone(text: str, wheel: Path) -> str:
    """Return the pins. For slipway-django keep only this wheel's hash, no hash from a package index."""
    return ENTRY.sub(lambda found: pin(wheel) if found[1] == "slipway-django" else found[0], text)


def without_jobs(text: str) -> str:
    """Remove the pins that only background jobs need. A comment "via NAME" says that NAME needs the pinned package."""
    entries = {found[1].split("[")[0]: found[0] for found in ENTRY.finditer(text)}
    gone = {name for name in entries if package.JOBS.match(name)} | {"redis"}
    while more := {name for name, entry in entries.items() if name not in gone and set() < needed_by(entry) <= gone}:
        gone |= more
    text = "".join(entry for name, entry in entries.items() if name not in gone)
    text = re.sub(rf"^    #   ({'|'.join(map(re.escape, gone))})\n", "", text, flags=re.MULTILINE)
    return re.sub(r"# via\n    #   (.*\n)(?!    #)", r"# via \1", text)  # uv's format for a single name


def needed_by(entry: str) -> set[str]:
    comments = " ".join(re.findall(r"^ +# (?:via )?(.*)$", entry, re.MULTILINE))
    return set(re.findall(r"-r \S+|[\w.-]+", comments.replace("via", "")))


def pin(wheel: Path) -> str:
    return f"slipway-django=={version(wheel)} \\\n    --hash={package.digest(wheel)}\n    # via -r requirements.in\n"


def version(wheel: PurePath) -> str:
    return wheel.name.split("-")[1]
