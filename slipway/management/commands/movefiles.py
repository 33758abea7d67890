"""Copies files from one storage to another."""

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
    help = ("Copies what differs from one storage to another: database:, a folder's whole path, or a variable that "
            "holds a URL. Run it again at any time.")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="FROM")
        parser.add_argument("target", metavar="TO")

    def handle(self, source: str, target: str, **_: Any) -> None:
        """Copy all, naming each, then tell what was done."""
        try:
            here, there = storage(source), storage(target)
        except (ValueError, SettingsError) as error:
            raise CommandError(str(error)) from None
        try:
            found = [*names(here)]
        except Exception as error:  # of any kind of storage
            raise CommandError(f"{source} cannot be listed: {plain(error)}") from None
        copied = problems = 0
        for name in found:
            try:
                if copy(here, there, name):
                    copied += 1
                    self.stdout.write(name)
            except Exception as error:  # the others shall come along
                problems += 1
                self.stderr.write(f"movefiles: {name}: {plain(error)}")
        self.stdout.write(f"movefiles: {copied} files copied, {len(found) - copied - problems} were there already, "
                          f"{problems} problems")
        if problems:
            raise SystemExit(1)


def plain(error: Exception) -> str:
    """An error in a line, which has no password."""
    return str(error) if isinstance(error, (OSError, ValueError, ValidationError)) else type(error).__name__


def storage(word: str) -> Any:
    if word.startswith("/"):
        return Folder(word)
    url = word if word.startswith("database:") else env.text(word, "") if re.fullmatch("[A-Z][A-Z0-9_]*", word) else ""
    if not url:
        raise ValueError(f"{word.partition('://')[0]} is neither database:, a folder's whole path nor a variable that "
                         "holds a STORAGE_URL")
    if url.startswith("database:") and not apps.is_installed("slipway.files"):
        raise ValueError("database: is not there: STORAGE_URL=database: makes it so, set it for this command")
    return storages.create_storage(values.storage(url))


def names(source: Any, path: str = "") -> Iterator[str]:
    """Of all files of a storage, but for what a killed save of Folder has left."""
    folders, files = source.listdir(path)
    yield from (f"{path}{name}" for name in sorted(files) if name and not re.fullmatch(r"\.[0-9a-f]{16}\.part", name))
    for folder in sorted(folders):
        yield from names(source, f"{path}{folder}/")


def copy(source: Any, target: Any, name: str) -> bool:
    """Whether a file had to be copied: it was not there, or with older content. Raises OSError where it cannot be."""
    if "\\" in name:
        raise OSError("is no name that other storages take: rename it, and what refers to it")
    if target.exists(name):
        if target.size(name) == source.size(name) and checksum(target, name) == checksum(source, name):
            return False
        if target.get_modified_time(name) >= source.get_modified_time(name):
            raise OSError("is there with other content that is newer, which stays: delete one of the two")
        target.delete(name)
    with source.open(name) as file:
        saved = target.save(name, file)
    if saved != name:
        target.delete(saved)
        raise OSError(f"cannot have its name there, but {saved}")
    return True


def checksum(where: Any, name: str) -> str:
    """SHA-256: the storage's own, where it keeps them."""
    if hasattr(where, "checksum"):
        return str(where.checksum(name))
    with where.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
