"""Moves files between storages, for `manage.py movefiles`."""

from __future__ import annotations

import copy as copies
import hashlib
import posixpath
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from .. import values
from ..env import Env
from .folder import Folder

PIECE = 1024 * 1024  # bytes
PART = re.compile(r"\.[0-9a-f]{16}\.part")  # what a killed save of Folder has left


@dataclass
class Done:
    """What became of the files, and of how many bytes."""

    moved: int = 0
    size: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)


def storage(word: str, env: Env) -> Storage:
    """database:, a folder's whole path, a name in STORAGES, or a variable with a URL. Raises ValueError with what goes
    after the word."""
    found = named(word, env)
    if hasattr(found, "unmoved_too"):  # those that are in the database, none that waits in MEDIA_ROOT to be moved
        found = copies.copy(found)
        setattr(found, "unmoved_too", False)
    return found


def named(word: str, env: Env) -> Storage:
    """The storage as the project has it. Raises ValueError."""
    if word.startswith("/"):
        return Folder(word)
    if word in settings.STORAGES:
        return storages[word]
    if word.startswith("database:"):
        if not apps.is_installed("slipway.files"):
            raise ValueError("is not there: STORAGE_URL=database: makes it so, and files are moved while it is set")
        return made(values.storage(word))
    if "://" in word:
        raise ValueError("would show its password to all who see this command: name a variable that holds it")
    if not re.fullmatch("[A-Z][A-Z0-9_]*", word):
        raise ValueError("is neither database:, a folder's whole path, a name in STORAGES nor a variable")
    if not (text := env.text(word, "")):
        raise ValueError("is not set: it is to hold a STORAGE_URL")
    return made(values.storage(text))


def made(entry: dict[str, Any]) -> Storage:
    """The storage of an entry as STORAGES has them."""
    return storages.create_storage(entry)


def part_name() -> str:
    """For a file that is no upload, as Folder names those that it saves."""
    return f".{secrets.token_hex(8)}.part"


def are_one(source: Storage, target: Storage) -> bool:
    """Whether what is saved at the target is at the source: two names may be of one storage. Leaves nothing."""
    probe = target.save(part_name(), ContentFile(b"movefiles"))
    try:
        return source.exists(probe)
    finally:
        target.delete(probe)


def names(source: Any, path: str = "") -> Iterator[str]:
    """Of all files of a storage, but for what a killed save has left."""
    if hasattr(source, "names"):
        yield from source.names()
        return
    folders, files = source.listdir(path)
    yield from (f"{path}{name}" for name in sorted(files) if name and not PART.fullmatch(name))
    for folder in sorted(folders):
        yield from names(source, f"{path}{folder}/")


def move(source: Storage, target: Storage, name: str, done: Done, replace: bool, delete: bool) -> None:
    """One file. What is there with the same content is left alone."""
    try:
        if "\\" in name or posixpath.normpath(name) != name:
            raise Differs("is no name that other storages take: rename it, and what refers to it")
        if is_there(source, target, name):
            done.there += 1
        else:
            if target.exists(name):
                if not replace:
                    raise Differs("is there with other content, which stays: see --replace")
                put(source, target, name)
            else:
                copy(source, target, name)
            done.moved, done.size = done.moved + 1, done.size + source.size(name)
        if delete:
            drop(source, target, name)
    except Exception as error:  # of any kind of storage; the others shall come along
        plain = isinstance(error, (Differs, OSError, ValidationError))
        done.problems.append(f"{name}: {error if plain else type(error).__name__}")


class Differs(Exception):
    """The two storages have different files of one name."""


def is_there(source: Storage, target: Storage, name: str) -> bool:
    """Whether the target has the same file."""
    if not target.exists(name) or target.size(name) != source.size(name):
        return False
    return checksum(source, name) == checksum(target, name)


def copy(source: Storage, target: Storage, name: str) -> None:
    """Save it there, by the same name or not at all."""
    with source.open(name) as file:
        saved = target.save(name, file)
    if saved != name:
        target.delete(saved)
        raise Differs(f"cannot have its name there, but {saved}")


def put(source: Storage, target: Storage, name: str) -> None:
    """Replace it there, if all of it can be saved: else the one that is there stays."""
    if option := replacing(target):
        target = copies.copy(target)
        setattr(target, option, True)
        copy(source, target, name)
        return
    with source.open(name) as file:
        whole = target.save(part_name(), file)
    try:
        target.delete(name)
        copy(source, target, name)
    finally:
        if target.exists(name):
            target.delete(whole)


def replacing(target: Storage) -> str | None:
    """The option of a storage that replaces a file at one go, or leaves it."""
    if isinstance(target, Folder):
        return "_allow_overwrite"
    return next((option for option in ("allow_overwrite", "file_overwrite") if hasattr(target, option)), None)


def drop(source: Storage, target: Storage, name: str) -> None:
    """Delete it at the source, if the target gives the same back."""
    if digest(source, name) != digest(target, name):
        raise Differs("was not given back as it was, and stays where it is")
    source.delete(name)


def checksum(where: Any, name: str) -> str:
    """SHA-256: the storage's own, where it keeps them."""
    return str(where.checksum(name)) if hasattr(where, "checksum") else digest(where, name)


def digest(where: Storage, name: str) -> str:
    """SHA-256 of what is read."""
    sha256 = hashlib.sha256()
    with where.open(name) as file:
        for data in file.chunks(PIECE):
            sha256.update(data)
    return sha256.hexdigest()
