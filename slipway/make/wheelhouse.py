"""Make wheels of all pins, in the image's builder: `wheelhouse REQUIREMENTS REQUIREMENTS_DEV OLD NEW`.

OLD is the wheelhouse before, or an empty folder: what has the same pin is taken from there. NEW gets production's
wheels; in dev/ those that only tests and linters need; uv.whl, to install them; and in pins/ what it was made of. The
image takes the template's package from vendor/, so that its update makes no wheel. pip checks the hashes of what it
downloads. UV_PINS in the environment names uv's pins; without it this package has
them.
"""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PIP = max(Path("/usr/share/python-wheels").glob("pip-*.whl"), default=Path("pip.whl"))  # Debian's, for venv
OWN = "vendor/slipway_django-"  # how the path of the template's package begins
DEFAULTS = {"EXPORT": "--no-dev", "EXPORT_DEV": "--only-dev"}  # as ve.mk has them, which a build without make lacks


def main(production: str, development: str, old: Path, new: Path) -> None:
    keep_uv(pins_of_uv(), old, new)
    if Path("uv.lock").exists():
        export(new / "uv.whl", production, development)
    for path, name, folder in ((production, "production.txt", new), (development, "dev.txt", new / "dev")):
        folder.mkdir(parents=True, exist_ok=True)
        text = Path(path).read_text("utf-8") if Path(path).exists() else ""
        missing = text
        if "--hash=" in text:
            old_pins = old / "pins" / name
            missing = reuse(text, old_pins.read_text("utf-8") if old_pins.exists() else "", old, folder)
            missing = "".join(pin for pin in pins(missing) if OWN not in pin)
        options = ["--no-deps"] if "--hash=" in text else versions(new)
        make_wheels(missing, Path(path).parent, folder, options)
        (new / "pins" / name).write_text(text, "utf-8")
    for wheel in Path().glob(f"{OWN}*.whl"):
        (new / wheel.name).unlink(missing_ok=True)  # of a list without hashes
    for wheel in new.glob("*.whl"):
        (new / "dev" / wheel.name).unlink(missing_ok=True)


def pins_of_uv() -> str:
    if path := os.environ.get("UV_PINS"):
        return Path(path).read_text("utf-8")
    return (pkgutil.get_data("slipway", "requirements/uv.txt") or b"").decode()


def keep_uv(text: str, old: Path, new: Path) -> None:
    """Put uv's wheel, which `text` pins, into the wheelhouse, and its pins."""
    (new / "pins").mkdir(parents=True)
    (new / "pins/uv.txt").write_text(text, "utf-8")
    before = old / "pins/uv.txt"
    if before.exists() and before.read_text("utf-8") == text:
        shutil.copy(old / "uv.whl", new)
        return
    folder = Path(tempfile.mkdtemp())
    pip("download", "--no-deps", "--dest", str(folder), "-r", str(new / "pins/uv.txt"))
    [wheel] = folder.glob("uv-*.whl")
    shutil.copy(wheel, new / "uv.whl")


def export(uv: Path, production: str, development: str) -> None:
    """Write the pins that uv.lock has, which must agree with pyproject.toml."""
    with zipfile.ZipFile(uv) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("/scripts/uv")]
        program = Path(wheel.extract(name, tempfile.mkdtemp()))
    program.chmod(0o755)
    words = ["--locked", "--quiet", "--format=requirements.txt", "--no-emit-project"]
    for path, options in ((production, "EXPORT"), (development, "EXPORT_DEV")):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        chosen = shlex.split(os.environ.get(options, DEFAULTS[options]))
        run(program, "export", *words, *chosen, "--output-file", path)


def reuse(text: str, old_pins: str, old: Path, folder: Path) -> str:
    """Copy to `folder` the wheels in `old` of pins that `old_pins`, those before, have with the same hashes. Return the
    other pins of `text`."""
    before = {*pins(old_pins)}
    missing = []
    for pin in pins(text):
        wheels = [path for path in wheels_of(pin, old) if pin in before]
        for path in wheels:
            shutil.copy(path, folder)
        if not wheels:
            missing.append(pin)
    return "".join(missing)


def pins(text: str) -> list[str]:
    """Return each pin, with its hashes, without comments."""
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE)
    return [pin for pin in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if pin.strip()]


def wheels_of(pin: str, old: Path) -> list[Path]:
    match = re.match(r"([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)", pin)
    if not match:
        return []
    name = re.sub(r"[-_.]+", "_", match[1]).lower()
    wheels = [*old.glob("*.whl"), *old.glob("dev/*.whl")]
    return [path for path in wheels if path.name.lower().startswith(f"{name}-{match[2]}-")]


def versions(folder: Path) -> list[str]:
    """Return pip's option to choose no other versions than the wheels in `folder` have: tests run with these, too."""
    parts = (wheel.name.split("-") for wheel in folder.glob("*-*.whl"))
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
