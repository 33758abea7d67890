"""Make wheels of all pins, in the image's builder: `wheelhouse REQUIREMENTS REQUIREMENTS_DEV OLD NEW`.

OLD is the wheelhouse before, or an empty folder: what has the same pin is taken from there. NEW gets production's
wheels; in dev/ those that only tests and linters need; pip.whl, to install them; and in pins/ what it was made of. pip
checks the hashes of what it downloads.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PIP = max(Path("/usr/share/python-wheels").glob("pip-*.whl"), default=Path("pip.whl"))  # Debian's, for venv
DEFAULTS = {"EXPORT": "--no-dev", "EXPORT_DEV": "--only-dev"}  # as ve.mk has them, which a build without make lacks


def main(production: str, development: str, old: Path, new: Path) -> None:
    if Path("uv.lock").exists():
        export(production, development)
    for path, name, folder in ((production, "production.txt", new), (development, "dev.txt", new / "dev")):
        folder.mkdir(parents=True, exist_ok=True)
        text = Path(path).read_text("utf-8") if Path(path).exists() else ""
        missing = text
        if "--hash=" in text:
            known = old / "pins" / name
            missing = reuse(text, known.read_text("utf-8") if known.exists() else "", old, folder)
        options = ["--no-deps"] if "--hash=" in text else versions(new)
        make_wheels(missing, Path(path).parent, folder, options)
        (new / "pins").mkdir(exist_ok=True)
        (new / "pins" / name).write_text(text, "utf-8")
    for wheel in new.glob("*.whl"):
        (new / "dev" / wheel.name).unlink(missing_ok=True)
    shutil.copy(PIP, new / "pip.whl")


def export(production: str, development: str) -> None:
    """Write the pins that uv.lock has, which must agree with pyproject.toml, by the uv that the package pins."""
    folder = Path(tempfile.mkdtemp())
    [slipway] = Path("vendor").glob("slipway_django-*.whl")
    with zipfile.ZipFile(slipway) as wheel:
        (folder / "uv.txt").write_bytes(wheel.read("slipway/requirements/uv.txt"))
    pip("install", "--target", str(folder), "-r", str(folder / "uv.txt"))
    words: list[str | Path] = [
        folder / "bin/uv",
        "export",
        "--locked",
        "--quiet",
        "--format=requirements.txt",
        "--no-emit-project",
    ]
    for path, options in ((production, "EXPORT"), (development, "EXPORT_DEV")):
        Path(path).parent.mkdir(exist_ok=True)
        run(*words, *shlex.split(os.environ.get(options, DEFAULTS[options])), "--output-file", path)


def reuse(text: str, known: str, old: Path, folder: Path) -> str:
    """Copy to `folder` the wheels in `old` of pins that `known`, the pins before, has in the same words. Return the
    other pins of `text`."""
    before = {*pins(known)}
    missing = []
    for pin in pins(text):
        wheels = [path for path in wheels_of(pin, old) if pin in before]
        for path in wheels:
            shutil.copy(path, folder)
        if not wheels:
            missing.append(pin)
    return "".join(missing)


def pins(text: str) -> list[str]:
    """Return each pin, with its hashes and comments."""
    return [pin for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if not pin.startswith("#")]


def wheels_of(pin: str, old: Path) -> list[Path]:
    match = re.match(r"([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)", pin)
    if not match:
        return []
    name = re.sub(r"[-_.]+", "_", match[1]).lower()
    wheels = [*old.glob("*.whl"), *old.glob("dev/*.whl")]
    return [path for path in wheels if path.name.lower().startswith(f"{name}-{match[2]}-")]


def versions(folder: Path) -> list[str]:
    """Return pip's option to choose no other versions than the wheels in `folder` have: tests run with these, too."""
    parts = (wheel.name.split("-") for wheel in folder.glob("*.whl"))
    file = Path(tempfile.mkdtemp(), "constraints.txt")
    file.write_text("".join(f"{name}=={version}\n" for name, version, *_ in parts), "utf-8")
    return ["--constraint", str(file)]


def make_wheels(text: str, beside: Path, folder: Path, options: list[str]) -> None:
    """Make wheels of the requirements `text`, which stand in the folder `beside`."""
    if not re.search(r"^([^#\s-]|-[er]\b)", text, re.MULTILINE):  # pip refuses a list of nothing, or of options
        return
    with tempfile.NamedTemporaryFile("w", dir=beside, suffix=".txt") as file:
        file.write(text)
        file.flush()
        pip("wheel", "--wheel-dir", str(folder), *options, "-r", file.name)


def pip(action: str, *words: str) -> None:
    run(sys.executable, f"{PIP}/pip", action, "--quiet", "--disable-pip-version-check", *words)


def run(*words: str | Path) -> None:
    if code := subprocess.call(words, stdin=subprocess.DEVNULL):
        sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
