"""What a project requires, as adopt.py reads it in the form that the project has it. No I/O."""

import configparser
import posixpath
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Tree = Mapping[str, str]
PRODUCTION = ("requirements.txt", *(f"requirements/{name}.txt" for name in (
    "production", "prod", "base", "common", "requirements", "default", "main")), "requirements-prod.txt")
DEVELOPMENT = ("requirements/dev.txt", *(f"requirements/{name}.txt" for name in (
    "test", "tests", "testing", "local", "development")), "requirements-dev.txt", "requirements-test.txt",
    "dev-requirements.txt", "test-requirements.txt")
DEV_GROUPS = ("dev", "test", "tests", "testing")


@dataclass(frozen=True)
class Wanted:
    """Packages as an .in file has them, and the file that says so; none: nothing was found."""

    lines: tuple[str, ...] = ()
    source: str = ""
    extras: tuple[str, ...] = ()  # more lists of that file, which some may need

    def names(self) -> set[str]:
        """The packages, without versions."""
        return {name(line) for line in self.lines} - {""}


def production(tree: Tree) -> Wanted:
    """What production requires."""
    if "requirements.in" in tree:
        return Wanted(listed(tree["requirements.in"]), "requirements.in")
    return of_file(tree, PRODUCTION, "requirements.txt") or of_pyproject(tree, dev=False) or of_pipfile(
        tree, "packages") or of_setup_cfg(tree) or Wanted()


def above(wanted: Wanted, up: str, folder: str) -> Wanted:
    """What a repository requires, for a project further down, whose .in file is in `folder`; `up` leads to the top."""
    def there(found: re.Match[str]) -> str:
        return f"{found[1]} {'../' if folder else ''}{up}/{posixpath.normpath(posixpath.join(folder, found[2]))}"
    lines = (re.sub(r"^(-r|-c) +(\S+)", there, line) for line in wanted.lines)
    return Wanted(tuple(lines), f"{up}/{wanted.source}" if wanted.source else "", wanted.extras)


def development(tree: Tree) -> Wanted:
    """What tests and linters require besides."""
    if "requirements/dev.in" in tree:
        return Wanted(listed(tree["requirements/dev.in"]), "requirements/dev.in")
    return of_file(tree, DEVELOPMENT, "requirements/dev.txt") or of_pyproject(tree, dev=True) or of_pipfile(
        tree, "dev-packages") or Wanted()


def of_file(tree: Tree, paths: Iterable[str], compiled: str) -> Wanted | None:
    """The first of these files: by reference, but where its name is that of the pins, which are made of the lines."""
    source = next((path for path in paths if path in tree), None)
    if source is None:
        return None
    if source == compiled:
        return Wanted(listed(tree[source]), source)
    inside = compiled.startswith("requirements/")
    there = source.removeprefix("requirements/") if inside and source.startswith("requirements/") else source
    return Wanted((f"-r {'../' if inside and there == source else ''}{there}",), source)


def listed(text: str) -> tuple[str, ...]:
    """The lines that say something, less hashes, which the pins get anew."""
    joined = re.sub(r"\\\n", " ", text)
    lines = (re.sub(r"\s--hash=\S+", "", re.sub(r"(^|\s)#.*", "", line)).strip() for line in joined.splitlines())
    return tuple(line for line in lines if line)


def of_pyproject(tree: Tree, dev: bool) -> Wanted | None:
    """What pyproject.toml lists, as its standard or Poetry have it."""
    try:
        page = tomllib.loads(tree.get("pyproject.toml", ""))
    except tomllib.TOMLDecodeError:
        return None
    project, poetry = page.get("project", {}), page.get("tool", {}).get("poetry", {})
    if dev:
        groups = {**project.get("optional-dependencies", {}), **page.get("dependency-groups", {})}
        lines = [line for group in DEV_GROUPS for line in groups.get(group, []) if isinstance(line, str)]
        tables = [poetry.get("dev-dependencies", {}), *(
            poetry.get("group", {}).get(group, {}).get("dependencies", {}) for group in DEV_GROUPS)]
    else:
        lines, tables = project.get("dependencies", []), [poetry.get("dependencies", {})]
    lines += [specified(package, what) for table in tables for package, what in table.items() if package != "python"]
    extras = () if dev else tuple(set(project.get("optional-dependencies", {})) - set(DEV_GROUPS))
    return Wanted(tuple(lines), "pyproject.toml", tuple(sorted(extras))) if lines else None


def of_pipfile(tree: Tree, table: str) -> Wanted | None:
    """What a Pipfile lists."""
    try:
        packages = tomllib.loads(tree.get("Pipfile", "")).get(table, {})
    except tomllib.TOMLDecodeError:
        return None
    lines = tuple(specified(package, what) for package, what in packages.items())
    return Wanted(lines, "Pipfile") if lines else None


def of_setup_cfg(tree: Tree) -> Wanted | None:
    """What setup.cfg lists."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(tree.get("setup.cfg", ""))
    except configparser.Error:
        return None
    lines = listed(parser.get("options", "install_requires", fallback=""))
    return Wanted(lines, "setup.cfg") if lines else None


def specified(package: str, what: Any) -> str:
    """A requirement, of what Poetry and Pipenv say of its version."""
    table = what if isinstance(what, dict) else {"version": what if isinstance(what, str) else "*"}
    extras = f"[{','.join(table['extras'])}]" if table.get("extras") else ""
    if "git" in table:
        return f"{package}{extras} @ git+{table['git']}"
    return package + extras + version(table.get("version", "*"))


def version(text: str) -> str:
    """A version as pip has it: of ^1.2 the next major one is left out."""
    text = text.strip()
    if text.startswith("^"):
        parts = [int(part) for part in re.findall(r"\d+", text)[:2]]
        above = f"{parts[0] + 1}" if parts[0] or len(parts) == 1 else f"0.{parts[1] + 1}"
        return f">={text[1:]},<{above}"
    if text.startswith("~") and text[1:2] != "=":
        return f"~={text[1:]}" if "." in text else f"=={text[1:]}.*"
    return "" if text == "*" else f"=={text}" if text[:1].isdigit() else text


def name(line: str) -> str:
    """The package that a line requires, as PyPI spells it; nothing where it is an option."""
    found = re.match(r"[A-Za-z0-9][\w.-]*", line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def follow(tree: Tree, wanted: Wanted) -> set[str]:
    """The names that the lines and the files they refer to require."""
    names, files = wanted.names(), [wanted.source]
    for line in wanted.lines:
        files += re.findall(r"^-r +(?:\.\./)?(\S+)", line)
    seen: set[str] = set()
    while files:
        path = files.pop()
        text = tree.get(path, tree.get(f"requirements/{path}", "")) if path.endswith((".txt", ".in")) else ""
        if path not in seen:
            seen.add(path)
            names |= {name(line) for line in listed(text)}
            files += [other for line in listed(text) for other in re.findall(r"^(?:-r|--requirement) *(\S+)", line)]
    return names - {""}
