"""manage.py movefiles"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.core.management import BaseCommand, CommandError, CommandParser

from ... import values
from ...env import SettingsError, env
from ...files.folder import Folder


class Command(BaseCommand):
    """Copies uploads from one storage to another."""

    help = (
        "Copies new and changed files from one storage to another: database:, the absolute path of a folder, or "
        "the name of a variable with a storage URL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="FROM")
        parser.add_argument("target", metavar="TO")

    def handle(self, source: str, target: str, **_: Any) -> None:
        try:
            old = storage(source)
            new = storage(target)
        except (ValueError, SettingsError) as error:
            raise CommandError(str(error)) from None
        try:
            listed = [*names(old)]
        except Exception as error:  # storages raise different exceptions
            raise CommandError(f"cannot list {source}: {plain(error)}") from None
        copied = problems = 0
        for name in listed:
            try:
                if copy(old, new, name):
                    copied += 1
                    self.stdout.write(name)
            except Exception as error:  # go on with the other files
                problems += 1
                self.stderr.write(f"movefiles: {name}: {plain(error)}")
        self.stdout.write(
            f"movefiles: {copied} files copied, {len(listed) - copied - problems} were there already, "
            f"{problems} problems"
        )
        if problems:
            raise SystemExit(1)


def plain(error: Exception) -> str:
    """Return an error's text, or only its type if the text may contain secrets."""
    return str(error) if isinstance(error, (OSError, ValueError, ValidationError)) else type(error).__name__


def storage(word: str) -> Any:
    if word.startswith("/"):
        return Folder(word)
    url = word if word.startswith("database:") else env.text(word, "") if re.fullmatch("[A-Z][A-Z0-9_]*", word) else ""
    if not url:
        raise ValueError(
            f"{word.partition('://')[0]} is neither database:, the absolute path of a folder nor a "
            "variable that is set to a storage URL"
        )
    if url.startswith("database:") and not apps.is_installed("slipway.files"):
        raise ValueError("there is no storage in the database: run this command with STORAGE_URL=database:")
    return storages.create_storage(values.storage(url))


def names(source: Any, path: str = "") -> Iterator[str]:
    folders, files = source.listdir(path)
    yield from (f"{path}{name}" for name in sorted(files) if name and not re.fullmatch(r"\.[0-9a-f]{16}\.part", name))
    for folder in sorted(folders):
        yield from names(source, f"{path}{folder}/")


def copy(source: Any, target: Any, name: str) -> bool:
    """Copy a file; return False if it is there. Raise OSError if that one is newer, or the name would change."""
    if "\\" in name:
        raise OSError("has a backslash, which other storages refuse: rename the file, and update the references to it")
    if target.exists(name):
        if target.size(name) == source.size(name) and checksum(target, name) == checksum(source, name):
            return False
        if target.get_modified_time(name) >= source.get_modified_time(name):
            raise OSError("exists in both places, and the target is newer, so it stays: delete one of the two")
        target.delete(name)
    with source.open(name) as file:
        saved = target.save(name, file)
    if saved != name:
        target.delete(saved)
        raise OSError(f"cannot keep its name, the target calls it {saved}")
    return True


def checksum(where: Any, name: str) -> str:
    if hasattr(where, "checksum"):
        return str(where.checksum(name))
    with where.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
