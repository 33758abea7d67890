"""`python -m slipway.files.publish FOLDER`: adds this release's static files to those of the releases before; or to
those in a bucket, `s3://bucket/folder`, and then runs the command of the image whose words follow: a platform takes
but one.

What django-compressor made, where a project has it, goes along. Names hold a hash of the content, so a name that is
there already is the same file, and left alone: nothing is overwritten or removed, as pages of older releases still
name older files. The manifest stays in the image. Whoever reads the folder meanwhile finds a file whole or not at
all, a power cut included.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from ..env import SettingsError

ROOT = Path(__file__).resolve().parents[2] / "static-root"
SCRIPT = ROOT.parent / "docker-run.sh"
FORMS = ("", ".gz", ".br")  # a file, and what it was compressed to


def main(args: list[str]) -> None:
    """Publish to where the first word says; exit with a line where that fails."""
    if not args:  # as one types it in a checkout
        return print("collectstatic: nothing to do, the image's own were collected by its build; to add them to those "
                     "that a web server has: docker-run.sh collectstatic /static")
    place, *command = args
    if place.startswith("s3:"):
        to_bucket(place)
    elif command:
        sys.exit("collectstatic: name one folder: docker-run.sh collectstatic /static")
    else:
        to_folder(place)
    if command:
        sys.stdout.flush()  # what takes this process's place does not know what is still to be written
        os.execv(SCRIPT, [str(SCRIPT), *command])


def to_bucket(address: str) -> None:
    """Publish into a bucket, for which settings are needed."""
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
    """Add what the manifest in `root` names to `folder`. Returns how many files were added, and how many there are."""
    names = published(root)
    missing = [name for name in names if not (folder / name).exists()]
    parts = {name: folder / f"{name}.{os.getpid()}.part" for name in missing}
    try:
        for name, part in parts.items():
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, part)
        os.sync()  # content is on the disk before its name is
        for name, part in parts.items():
            part.replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    os.sync()
    return len(missing), len(names)


def published(root: Path) -> set[str]:
    """The names of all files that visitors may ask for, in each of their forms, with what django-compressor made."""
    named: dict[str, str] = json.loads((root / "staticfiles.json").read_text())["paths"]
    made = (path for kind in ("css", "js") for path in (root / "CACHE" / kind).rglob("*") if path.is_file())
    return {name + form for name in named.values() for form in FORMS if (root / (name + form)).exists()} | {
        str(path.relative_to(root)) for path in made}


if __name__ == "__main__":
    main(sys.argv[1:])
