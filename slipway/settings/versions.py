"""A check for `manage.py check`: of the packages that Slipway extends, those versions are installed that it was tested
with. pip sees to it where it may, but pins may be older than the package, and some packages are a project's own."""

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from django.core.checks import Warning, register
from packaging.requirements import Requirement

from .checks import may_warn

PACKAGE = "slipway-django"


@register()
def tested(**_: Any) -> list[Warning]:
    return [
        outside_warning(requirement, version)
        for requirement in requirements()
        if may_warn()
        and (version := installed_version(requirement.name))
        and not requirement.specifier.contains(version, prereleases=True)
    ]


def outside_warning(requirement: Requirement, version: str) -> Warning:
    return Warning(
        f"{requirement.name} {version} is installed, but Slipway is tested with "
        f"{requirement.name}{requirement.specifier}: require that, then run make",
        id="slipway.W002",
    )


def requirements() -> list[Requirement]:
    """Return what the package and its extras require; in a checkout of the template as pyproject.toml says it."""
    try:
        return [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    except metadata.PackageNotFoundError:
        path = Path(__file__).parents[2] / "pyproject.toml"
    if not path.exists():  # in the template's own image
        return []
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]


def installed_version(name: str) -> str:
    """Return the version of an installed package, or ""."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
