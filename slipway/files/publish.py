"""`python -m slipway.files.publish FOLDER [COMMAND]` adds this release's static files to those of earlier releases in
FOLDER, which may be in a bucket (s3://…). Afterwards docker-run.sh runs COMMAND.

File names contain a hash of the content. Existing files stay, because pages of older releases use them. Files of
django-compressor are also added, but not staticfiles.json. Readers always find complete files, even after a power cut.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from ..env import SettingsError

# Both paths are relative to the working folder, which docker-run.sh sets.
ROOT = Path("static-root")
SCRIPT = "./docker-run.sh"
FORMS = ("", ".gz", ".br")  # a file and its compressed forms


def main(args: list[str]) -> None:
    if not args:  # called without a folder, like `manage.py collectstatic`
        print(
            "collectstatic: nothing to do, because the image already has its static files. To copy them for a "
            "web server, run docker-run.sh collectstatic /static"
        )
        return
    place, *command = args
    if place.startswith("s3:"):
        to_bucket(place)
    else:
        to_folder(place)
    if command:
        sys.stdout.flush()  # execv would lose lines that are still buffered
        os.execv(SCRIPT, [SCRIPT, *command])


def to_bucket(address: str) -> None:
    try:
        from . import bucket

        names = published(ROOT)
        print(f"collectstatic: {bucket.add(ROOT, names, address)} of {len(names)} files added to {address}")
    except SettingsError as error:
        error.leave()
    except bucket.Unfit as error:
        sys.exit(f"collectstatic: {error}")
    except OSError as error:
        sys.exit(f"collectstatic: {error.filename}: {error.strerror}")


def to_folder(folder: str) -> None:
    os.umask(0o022)
    try:
        added, names = publish(ROOT, Path(folder))
    except OSError as error:
        sys.exit(f"collectstatic: cannot write {error.filename2 or error.filename}: {error.strerror}")
    print(f"collectstatic: {added} of {names} files added to {folder}")


def publish(root: Path, folder: Path) -> tuple[int, int]:
    """Copy the published files of `root` that `folder` lacks. Return (their number, number of all published files)."""
    names = published(root)
    missing = [name for name in names if not (folder / name).exists()]
    parts = {name: folder / f"{name}.{os.getpid()}.part" for name in missing}
    try:
        for name, part in parts.items():
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, part)
        os.sync()  # the content must be on disk before the final names are
        for name, part in parts.items():
            part.replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    os.sync()
    return len(missing), len(names)


def published(root: Path) -> set[str]:
    """Return the names of all files for visitors, including compressed copies and django-compressor's files."""
    named: dict[str, str] = json.loads((root / "staticfiles.json").read_text())["paths"]
    made = (path for kind in ("css", "js") for path in (root / "CACHE" / kind).rglob("*") if path.is_file())
    return {name + form for name in named.values() for form in FORMS if (root / (name + form)).exists()} | {
        str(path.relative_to(root)) for path in made
    }


if __name__ == "__main__":
    main(sys.argv[1:])
