"""Find how a project lists its packages, and what adopt adds to these lists. No I/O."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from slipway.make.requirements import COMMAND

Tree = Mapping[str, str]  # path → text
PRODUCTION = ("requirements.txt", *(f"requirements/{name}.txt" for name in ("production", "prod", "base")))
DEVELOPMENT = (
    *(f"requirements/{name}.txt" for name in ("dev", "test", "local", "development")),
    "requirements-dev.txt",
    "requirements-test.txt",
)
MADE = (
    "var/pins/requirements.txt",
    "var/pins/dev.txt",
)  # from uv.lock, if the project has tracked files of the usual names
OF_PRODUCTION = {"prod", "production"}
OF_DEVELOPMENT = {"dev", "development", "test", "tests", "testing"}
EXPORTS = {  # lock file of another tool → how that tool writes requirements.txt
    "poetry.lock": "poetry export --output requirements.txt",
    "pdm.lock": "pdm export --prod --output requirements.txt",
    "Pipfile.lock": "pipenv requirements --hash >requirements.txt",
}


class Packages(NamedTuple):
    """A project's lists of packages: what they come from, and what the Makefile says about them."""

    source: str  # "" if there is none
    production: str  # REQUIREMENTS
    development: str  # REQUIREMENTS_DEV
    export: str = ""  # EXPORT, if it is not the usual
    export_dev: str = ""
    left: tuple[str, ...] = ()  # groups and extras that are neither production's nor development's

    def lines(self) -> list[str]:
        """Return the Makefile's lines for what is not usual."""
        values = {
            "REQUIREMENTS": (self.production, PRODUCTION[0]),
            "REQUIREMENTS_DEV": (self.development, DEVELOPMENT[0]),
            "EXPORT": (self.export, ""),
            "EXPORT_DEV": (self.export_dev, ""),
        }
        return [f"{name} = {value}" for name, (value, usual) in values.items() if value != usual]


def find_packages(tree: Tree, above: Tree) -> Packages:
    """`above`: lists in the folders above the project."""
    if "uv.lock" in tree:
        return packages_of_uv(tree)
    production = next((path for path in PRODUCTION if path in tree), "")
    development = next((path for path in DEVELOPMENT if path in tree), DEVELOPMENT[0])
    lists = [*EXPORTS, *(["pyproject.toml"] if "project" in parse_toml(tree, "pyproject.toml") else []), *above]
    other = next((path for path in lists if path in {**tree, **above}), "")
    return Packages(production or other, production or PRODUCTION[0], development)


def packages_of_uv(tree: Tree) -> Packages:
    """Choose what to export: production's extras and groups, and those of development."""
    data = parse_toml(tree, "pyproject.toml")
    extras = data.get("project", {}).get("optional-dependencies", {})
    groups = data.get("dependency-groups", {})
    chosen = [f"--extra {name}" for name in extras if name in OF_PRODUCTION]
    chosen += [f"--group {name}" for name in groups if name in OF_PRODUCTION]
    for_development = [f"--only-group {name}" for name in groups if name in OF_DEVELOPMENT]
    if not for_development:
        for_development = [f"--extra {name}" for name in extras if name in OF_DEVELOPMENT]
    production, development = (
        MADE if {"requirements.txt", "requirements/dev.txt"} & {*tree} else (PRODUCTION[0], DEVELOPMENT[0])
    )
    return Packages(
        "uv.lock",
        production,
        development,
        " ".join(["--no-dev", *chosen]) if chosen else "",
        " ".join(for_development) if for_development != ["--only-group dev"] else "",
        tuple(name for name in (*extras, *groups) if name not in OF_PRODUCTION | OF_DEVELOPMENT),
    )


def parse_toml(tree: Tree, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.get(path, ""))
    except tomllib.TOMLDecodeError:
        return {}


def requirement(tree: Tree, wheel: str, jobs: bool) -> str:
    """Return the package's line: the path of its wheel, with extras for what the project does not have itself."""
    listed = "\n".join(text for path, text in tree.items() if re.search(r"requirements|\.lock$|pyproject\.toml", path))
    extras = [*(["jobs"] if jobs else []), *([] if "psycopg" in listed else ["psycopg2"])]
    return f"./{wheel}[{','.join(extras)}]" if extras else f"./{wheel}"


def with_packages(tree: Tree, above: Tree, packages: Packages, package: str) -> dict[str, str]:
    """Return the list of packages with the line `package`, or without if it is "": path → text. Those of uv and of
    other tools are theirs to change."""
    if packages.source in ("uv.lock", "pyproject.toml", *EXPORTS):
        return {}
    path = source_of(tree, packages.production)
    text = tree.get(path, above.get(packages.source, "django\n"))
    if path not in tree or (package and "slipway" not in text and "--hash=" not in text):
        return {path: with_line(text, package)}
    return {}


def source_of(tree: Tree, path: str) -> str:
    """Return the file that a person changes: if a program writes `path`, the .in file of that name."""
    source = path.removesuffix(".txt") + ".in"
    return source if source in tree and COMMAND.search(tree.get(path, "")) else path


def with_line(text: str, line: str) -> str:
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{line}\n" if line else text


def package_todo(tree: Tree, packages: Packages, package: str) -> Iterator[str]:
    """Yield what the team does to its lists by its own tools. `package`: the line for slipway's package, or ""."""
    if packages.left:
        yield f"pyproject.toml:1: EXPORT and EXPORT_DEV of the Makefile leave out {', '.join(packages.left)}"
    if packages.source == "uv.lock":
        if package and "slipway-django" not in tree["pyproject.toml"]:
            yield f"pyproject.toml:1: uv add --no-sync '{package}'"
    elif packages.source == "pyproject.toml":
        yield "pyproject.toml:1: uv lock, then adopt again; or write requirements.txt by the tool of your choice"
    elif packages.source in EXPORTS:
        yield f"{packages.source}:1: add {package or 'what you need'} there, then {EXPORTS[packages.source]}"
    source = source_of(tree, packages.production)
    if package and "--hash=" in tree.get(source, "") and "slipway" not in tree[source]:
        yield f"{source}:1: it has hashes: add {package} by the program that writes it"
