"""`make app`: add a Django app. Needs only Python 3.9."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from slipway.lasting.files import move, write_beside

TAKEN = "admin auth contenttypes messages sessions staticfiles media static".split()  # names of Django's apps and paths
SETTINGS = ("settings_base.py", "settings.py")
APPS = r"^INSTALLED_APPS = \[\n((    [\"'].*\n)*    [\"']PACKAGE\..*\n)?"  # a match ends after the project's own apps
URLS = r"^from django\.urls import .*\binclude\b.*\bpath\b.*\n(.*\n)*?urlpatterns = \[\n"
# Templates in the folder app/. They end with -tpl, so that no tool reads them as Python.
TEXTS = "admin.py apps.py models.py tests.py urls.py views.py migrations/0001_initial.py templates/index.html".split()


def main(package: str, app: str) -> None:
    folder = Path(package, app)
    try:
        if problem := wrong_name(app) or taken(folder):
            sys.exit(f"make: {problem}")
        changed, by_hand = with_app(folder)
        write(folder, texts(folder), changed)
    except OSError as error:
        sys.exit(f"make: {error.filename}: {error.strerror}; nothing has changed")
    print(f"make: wrote {folder}; next: make migrate, then open /{app}/ and the admin", *by_hand, sep="\n")


def wrong_name(app: str) -> str:
    if not app:
        return "no NAME: name the app, such as make app NAME=orders"
    if not re.fullmatch("[a-z][a-z0-9_]*", app):
        return f"NAME={app} cannot be an app: use a-z, 0-9 and _, and begin with a letter"
    word = keyword.iskeyword(app) or keyword.iskeyword(model_of(app))
    return f"NAME={app} is a Python keyword: choose another" if word else ""


def taken(folder: Path) -> str:
    """Return why the app's `folder` cannot be made, or "" if it can."""
    package, app = folder.parent, folder.name
    if not package.is_dir():
        return f"no folder {package} here: set PROJECT to the package of your settings"
    if folder.exists() or folder.with_suffix(".py").exists():
        return f"{package} has {app} already: choose another NAME"
    listed = re.search(r"^INSTALLED_APPS = \[(.*?)^\]", read(settings(package)), re.MULTILINE | re.DOTALL)
    labels = re.findall(r"(\w+)[\"']", listed[1]) if listed else []
    packages = Path(os.environ.get("VE", "ve"), "lib").glob(f"python*/site-packages/{app}")
    installed = app in [*TAKEN, *labels] or importlib.util.find_spec(app) or any(packages)
    return f"NAME={app} is an installed app or module: choose another" if installed else ""


def with_app(folder: Path) -> tuple[dict[Path, str], list[str]]:
    """Return the files to change (path → text), and a message for each line that the user must add."""
    package, app = folder.parent, folder.name
    name, route = f'"{package}.{app}",', f'path("{app}/", include("{package}.{app}.urls")),'
    changed, by_hand = {}, []
    for path, place, names, line in [(settings(package), APPS.replace("PACKAGE", package.name), "INSTALLED_APPS", name),
                                     (package / "urls.py", URLS, "urlpatterns (and import include)", route)]:
        if found := re.search(place, text := read(path), re.MULTILINE):
            changed[path] = f"{text[:found.end()]}    {line}\n{text[found.end():]}"
        else:
            by_hand.append(f"make: add to {names} in {path} by hand: {line}")
    return changed, by_hand


def settings(package: Path) -> Path:
    return next((path for name in SETTINGS if (path := package / name).exists()), package / "settings")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def texts(folder: Path) -> dict[Path, str]:
    app, model, templates = folder.name, model_of(folder.name), files("slipway.make") / "app"
    names = {"project": folder.parent, "app": app, "title": app.replace("_", " ").capitalize(),
             "App": app.title().replace("_", ""), "Model": model, "model": model.lower()}
    jobs = ["tasks.py", "test_tasks.py"] if (folder.parent / "celery.py").exists() else []
    made = {"__init__.py": "", "migrations/__init__.py": ""}
    for name in TEXTS + jobs:
        template = Template((templates / f"{name}-tpl").read_text(encoding="utf-8"))
        made[name.replace("templates", f"templates/{app}")] = template.substitute(names)
    return {folder / name: text for name, text in made.items()}


def model_of(app: str) -> str:
    """Guess the model's name from the app's: orders → Order, stock_entries → StockEntry."""
    return re.sub("(?<![siu])s$", "", re.sub("ies$", "y", app)).title().replace("_", "")


def write(folder: Path, its: dict[Path, str], changed: dict[Path, str]) -> None:
    """Write the app's files (`its`), then the project's changed files. If a write fails, remove all new files."""
    new: dict[str, Path] = {}
    try:
        for path, text in its.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for path, text in changed.items():
            new[write_beside(path, text, path.stat().st_mode & 0o777)] = path
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        for name in new:
            os.remove(name)
        raise
    for name, path in new.items():
        move(name, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
