"""The template's settings of each environment, a module each. A project's settings files load them over its own."""

from __future__ import annotations

import os
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

from ..env import SettingsError, env


def load(kind: str, package: str) -> dict[str, Any]:
    """The settings of `kind`, "development", "production" or "testing": those of settings_shared.py in the package,
    then the template's, which may change them. Raises SettingsError with all that is wrong in the environment."""
    begin(kind)
    if kind == "development":
        env.read(Path(import_module(package).__path__[0]).parent / ".env")
    shared = vars(import_module(f"{package}.settings_shared"))
    return only_settings(runpy.run_module(f"{__name__}.{kind}", only_settings(shared)))


def over(kind: str, module: str) -> dict[str, Any]:
    """The same for a project with settings of its own: those of `module`, what slipway needs beside them, then the
    template's of `kind`, "production" or "testing". Production ends the process where the environment is wrong, as
    the project's manage.py is Django's, which would show a traceback."""
    begin(kind)
    try:
        own = only_settings(vars(import_module(module)))
        for part in ("adopted", kind):
            own = only_settings(runpy.run_module(f"{__name__}.{part}", own))
    except SettingsError as error:
        if kind == "production":
            error.leave()
        raise
    return own


def begin(kind: str) -> None:
    """Have the environment asked anew. A fresh clone, tests and make build know no settings."""
    env.checked, env.examples = False, kind != "production" or "IMAGE_BUILD" in os.environ


def only_settings(names: dict[str, Any]) -> dict[str, Any]:
    """Those that Django takes for settings."""
    return {name: value for name, value in names.items() if name.isupper()}
