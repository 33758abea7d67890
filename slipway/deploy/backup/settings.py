"""The settings of an app's backups, which provisioning writes, and the paths of its files on this host."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slipway import envfile

from . import place
from .place import Place
from .shell import Problem, assignments

REPOSITORY_KEY = "RESTIC_PASSWORD"  # the variable with the repository's password, as restic calls it


@dataclass(frozen=True)
class Settings:
    """The app's [backup] in production.toml. `postgres`: True if this host has the app's Postgres. `files`: those paths
    on this host that are kept. `dump`: the image whose pg_dump dumps a database elsewhere. `prunes`: True on one of the
    hosts that share the repository."""

    app: str
    to: str
    wal: int
    any_second: int
    keep: str
    postgres: bool
    files: tuple[str, ...]
    dump: str = ""
    prunes: bool = True
    root: str = ""  # tests only: a folder used as /

    @classmethod
    def load(cls, app: str) -> Settings:
        file = Path(f"/etc/default/{app}.backup.json")
        if not file.exists():
            raise Problem(f"there is no {file}: add [backup] to production.toml, and run slipway provision")
        values = json.loads(file.read_text(encoding="utf-8"))
        return cls(app, **{**values, "files": tuple(values["files"])})

    @cached_property
    def place(self) -> Place:
        """The place of the database's backups, of which production.toml takes only those that pgBackRest knows."""
        found = place.parse(self.to)
        if found is None:
            raise Problem(f"{self.to}: pgBackRest has no such place: choose another one in production.toml")
        return found

    @property
    def service(self) -> str:
        """The name of the database's container."""
        return f"{self.app}-postgres"

    @property
    def etc(self) -> str:
        return f"{self.root}/etc/default"

    @property
    def www(self) -> str:
        """The folder of the app's releases, uploads and data."""
        return f"{self.root}/var/www/{self.app}"

    @property
    def folder(self) -> str:
        """The folder for what goes to the repository, or has come from there."""
        return f"{self.root}/var/backups/{self.app}"

    def make_folder(self) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    @property
    def sockets(self) -> str:
        return f"{self.root}/run/{self.service}"

    @cached_property
    def keys(self) -> dict[str, str]:
        """The repository's password and keys, as variables of the environment."""
        path = f"{self.etc}/{self.app}.backup"
        if not os.path.exists(path):
            raise Problem(f"there is no {path} with the repository's password: run slipway provision")
        return assignments(path)

    @property
    def database_url(self) -> str:
        """The app's setting DATABASE_URL, or the content of the secret that DATABASE_URL_FILE names, or ""."""
        values = envfile.read_file(f"{self.etc}/{self.app}.env")[0]
        secret = values.get("DATABASE_URL_FILE", "").rpartition("/run/secrets/")[2]
        if values.get("DATABASE_URL") or not secret:
            return values.get("DATABASE_URL", "")
        file = Path(self.etc, f"{self.app}.secrets", os.path.basename(secret))
        return file.read_text(encoding="utf-8").strip() if file.exists() else ""

    @cached_property
    def image(self) -> dict[str, str]:
        """The findings of docker-service about the database's image: IMAGE_ID, OWNER, VOLUME, DATA."""
        values = assignments(f"{self.etc}/{self.service}.image")
        if not values:
            raise Problem(f"{self.service} is not set up: run slipway provision")
        return {"DATA": self.service, **values}
