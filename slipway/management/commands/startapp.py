"""Django's startapp, with a page, a model and tests, for an app in the project's package that is ready to use."""

import keyword
import re
import shutil
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import CommandError
from django.core.management.templates import TemplateCommand

from ...lasting import write_replace

TEMPLATE = Path(__file__).parent.parent / "app"
APPS = r"^INSTALLED_APPS = \[\n((    [\"'].*\n)*    [\"']PACKAGE\..*\n)?"  # a match ends after the project's own apps
URLS = r"^from django\.urls import .*\binclude\b.*\bpath\b.*\n(.*\n)*?urlpatterns = \[\n"


class Command(TemplateCommand):
    """Adds an app to the project, with its settings and URL."""

    help = "Add an app: model, page, admin, tests, migration and, with Celery, a task."
    missing_args_message = "You must provide an application name."

    def handle(self, *args: Any, **options: Any) -> None:
        name = options.pop("name")
        target = options.pop("directory")
        if target or options["template"] or not name.isidentifier():
            super().handle("app", name, target, **options)  # as Django does it, and explains a wrong name
            return
        package = settings.ROOT_URLCONF.partition(".")[0]
        folder = folder_of(package, name)
        words = {"package": package, "model": model_of(name), "title": name.replace("_", " ").capitalize()}
        try:
            super().handle(
                "app", name, str(folder), **{**options, **words, "template": str(TEMPLATE), "extensions": ["py,html"]}
            )
        except (CommandError, OSError) as error:
            shutil.rmtree(folder)
            raise CommandError(f"{error}; nothing has changed") from None
        if not (folder.parent / "celery.py").exists():
            (folder / "tasks.py").unlink()
            (folder / "test_tasks.py").unlink()
        base = folder.parent / "settings_base.py"
        self.enlist(
            base if base.exists() else folder.parent / "settings.py",
            APPS.replace("PACKAGE", package),
            f'"{package}.{name}",',
        )
        self.enlist(folder.parent / "urls.py", URLS, f'path("{name}/", include("{package}.{name}.urls")),')
        self.stdout.write(f"wrote {folder}; next: make migrate, then open /{name}/ and the admin")

    def enlist(self, path: Path, place: str, line: str) -> None:
        """Add the line to the file, after what the expression `place` matches; or ask the user to do it."""
        try:
            text = path.read_text(encoding="utf-8")
            if match := re.search(place, text, re.MULTILINE):
                text = f"{text[: match.end()]}    {line}\n{text[match.end() :]}"
                write_replace(path, text, path.stat().st_mode & 0o777)
                return
        except (OSError, UnicodeDecodeError):
            pass
        self.stdout.write(f"add to {path} by hand: {line}")


def folder_of(package: str, name: str) -> Path:
    """Make the app's folder. Raise CommandError if it cannot be made, or if Django would confuse the app."""
    folder = Path(package, name)
    if keyword.iskeyword(name) or name in {app.label for app in apps.get_app_configs()}:
        raise CommandError(f"{name} is an installed app, or a word of Python: choose another name")
    if folder.with_suffix(".py").exists():
        raise CommandError(f"{package} has a module {name}: choose another name")
    try:
        folder.mkdir()
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from None
    return folder


def model_of(app: str) -> str:
    """Guess the model's name from the app's: orders → Order, stock_entries → StockEntry."""
    return re.sub("(?<![siu])s$", "", re.sub("ies$", "y", app)).title().replace("_", "")
