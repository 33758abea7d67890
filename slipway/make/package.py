"""Build a wheel of this source: `package FOLDER` writes it to FOLDER and prints its path and hash.

The same commit gives the same bytes. The wheel format:
https://packaging.python.org/specifications/binary-distribution-format/.
"""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

NAME = "slipway_django"
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can have
LEFT_OUT = re.compile(r"slipway/(tests|make/adopt)/|docs/images/")
JOBS = re.compile(r"(celery|django-celery-beat)\b")  # requirements of the extra "jobs"
ATTRIBUTES = "*.whl binary -filter -ident"  # a team's own .gitattributes, such as `* text eol=lf`, would damage a wheel
WHEEL = "Wheel-Version: 1.0\nGenerator: slipway\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = """Metadata-Version: 2.1
Name: slipway-django
Version: {version}
Summary: The machinery of a Django project that ships itself
License: BSD-3-Clause
Requires-Python: >=3.11
Provides-Extra: jobs
{requires}
"""


def main(folder: str) -> None:
    path = write(Path(__file__).absolute().parents[2], Path(folder))
    print(f"{path} {digest(path)}")


def write(source: Path, folder: Path) -> Path:
    path = path_of(source, folder)
    version = path.name.split("-")[1]
    info = f"{NAME}-{version}.dist-info"
    files = {**sources(source), f"{info}/WHEEL": WHEEL.encode(), f"{info}/METADATA": METADATA.format(
        version=version, requires=requires((source / "requirements.in").read_text())).encode()}
    files[f"{info}/RECORD"] = record(files, f"{info}/RECORD").encode()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for name in sorted(files, key=lambda name: (name.startswith(info), name)):
            wheel.writestr(zipfile.ZipInfo(name, DATE), files[name])
    attributes = folder / ".gitattributes"
    if not attributes.exists():
        attributes.write_text(f"{ATTRIBUTES}\n")
    return path


def path_of(source: Path, folder: Path) -> Path:
    version = version_of(git(source, "describe", "--tags", "--always", "--dirty=.dirty"))
    return folder / f"{NAME}-{version}-py3-none-any.whl"


def version_of(described: str) -> str:
    """Turn the output of `git describe`, such as 1.2.0-5-gab12, into a Python version: 1.2.0+5.gab12."""
    found = re.fullmatch(r"v?([0-9.]*[.0-9])(?:-([0-9]+)-(g[0-9a-f]+))?(\.dirty)?", described)
    if not found or "." not in found[1]:
        return f"0+g{described}"
    tag, count, commit, dirty = found.groups(default="")
    return tag + (f"+{count}.{commit}{dirty}" if count else "+dirty" if dirty else "")


def sources(source: Path) -> dict[str, bytes]:
    listed = git(source, "ls-files", "-co", "--exclude-standard", "slipway", "docs").splitlines()
    return {re.sub("^docs/", "slipway/docs/", path): (source / path).read_bytes()
            for path in listed if not LEFT_OUT.match(path)}


def requires(text: str) -> str:
    """Return Requires-Dist lines for requirements.in, without upper limits: projects may use a newer Django."""
    names = [line.split(",")[0] for line in text.splitlines() if re.match(r"\w", line)]
    return "\n".join(f"Requires-Dist: {name}" + ('; extra == "jobs"' if JOBS.match(name) else "") for name in names)


def required(wheel: Path) -> list[str]:
    """Return the requirements in a wheel's metadata, those of background jobs included."""
    with zipfile.ZipFile(wheel) as content:
        [name] = [name for name in content.namelist() if name.endswith("/METADATA")]
        return re.findall(r"^Requires-Dist: ([^;\n]+)", content.read(name).decode(), re.MULTILINE)


def record(files: dict[str, bytes], own: str) -> str:
    """Return the text of RECORD, which lists the wheel's files with their hashes. `own` is the path of RECORD."""
    def hashed(content: bytes) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    lines = [f"{name},sha256={hashed(content)},{len(content)}" for name, content in sorted(files.items())]
    return "\n".join([*lines, f"{own},,", ""])


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
