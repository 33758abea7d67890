"""Find the packages that a project lists, and the versions that its lock file has. No I/O."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from posixpath import dirname, relpath
from typing import Any, NamedTuple

Tree = Mapping[str, str]  # path → text
DEV = "requirements/dev.in"
LISTS = {  # .in file → files that a project may have instead
    "requirements.in": ("requirements.txt", *(f"requirements/{name}.txt" for name in ("production", "prod", "base"))),
    DEV: (
        *(f"requirements/{name}.txt" for name in ("dev", "test", "local", "development")),
        "requirements-dev.txt",
        "requirements-test.txt",
    ),
}
GROUPS = {"requirements.in": ("prod", "production"), DEV: ("dev", "development", "test", "tests", "testing")}
VERSIONS = r"\*|[<>=!~]=? *[\w.*]+( *, *[<>=!~]=? *[\w.*]+)*"
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock")


class Listed(NamedTuple):
    """The packages of pyproject.toml or Pipfile: their file, lines for each .in file, and what is in neither."""

    source: str
    lines: dict[str, list[str]]
    left: list[str]


def wanted(tree: Tree, above: Tree, target: str, listed: Listed) -> tuple[str, list[str]]:
    """Return the project's file with packages ("" if none), and lines for `target`: packages or `-r FILE`."""
    names = (target, *LISTS[target])
    source = next((path for path in (*names, *above) if path in {**tree, **above} and path.lstrip("./") in names), "")
    if source in ("requirements.txt", "requirements/dev.txt"):
        packages = (line for line in tree[source].splitlines() if re.match(r"[^\s#]", line))
        return source, [re.sub(r"\s+(--hash|[#\\]).*", "", line) for line in packages]
    if source:
        return source, [f"-r {relpath(source, dirname(target) or '.')}"]
    if lines := listed.lines[target]:
        return listed.source, lines
    return "", [] if target == DEV else ["django"]


def in_tables(tree: Tree) -> Listed:
    """Read [project], its optional dependencies, [dependency-groups] and Poetry's tables of pyproject.toml, or Pipfile.
    Groups with other names than those of GROUPS are left."""
    data, pipfile = toml(tree, "pyproject.toml"), toml(tree, "Pipfile")
    project, poetry = data.get("project", {}), data.get("tool", {}).get("poetry", {})
    groups: dict[str, Any] = {**project.get("optional-dependencies", {}), **data.get("dependency-groups", {})}
    tables = {
        "": poetry.get("dependencies", {}) | pipfile.get("packages", {}),
        "dev": poetry.get("dev-dependencies", {}) | pipfile.get("dev-packages", {}),
        **{name: group.get("dependencies", {}) for name, group in poetry.get("group", {}).items()},
    }
    lines: dict[str, list[str]] = {"requirements.in": [*project.get("dependencies", ())], DEV: []}
    left = [name for name in {**groups, **tables} if name and not any(name in names for names in GROUPS.values())]
    for target, names in GROUPS.items():
        for name in ("", *names) if target != DEV else names:
            lines[target] += members(groups, name)
            for package, spec in tables.get(name, {}).items():
                if line := requirement(package, spec):
                    lines[target].append(line)
                elif package != "python":
                    left.append(package)
    return Listed("Pipfile" if pipfile else "pyproject.toml", lines, left)


def toml(tree: Tree, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.get(path, ""))
    except tomllib.TOMLDecodeError:
        return {}


def members(groups: Mapping[str, Any], name: str) -> Iterator[str]:
    others = {key: entries for key, entries in groups.items() if key != name}  # they may include each other
    for entry in groups.get(name, ()):
        yield from [entry] if isinstance(entry, str) else members(others, entry.get("include-group", ""))


def requirement(name: str, spec: Any) -> str:
    """Return the line for a package of Poetry or pipenv; "" if it is more than a version and extras. Of ^5.2 and ~5.2
    only the lower bound stays."""
    table = {"version": spec} if isinstance(spec, str) else spec
    if name == "python" or not isinstance(table, dict) or not {*table} <= {"version", "extras"}:
        return ""
    extras = f"[{','.join(table['extras'])}]" if "extras" in table else ""
    version = re.sub(r"^[\^~](?!=) *", ">=", table.get("version", "*"))
    version = re.sub(r"^(?=\d)", "==", version)
    return f"{name}{extras}{'' if version == '*' else version}" if re.fullmatch(VERSIONS, version) else ""


def locked(tree: Tree) -> tuple[str, list[str]]:
    """Return the project's lock file and its versions, NAME==VERSION. Packages with several versions are left out."""
    path = next((path for path in LOCKS if path in tree), "")
    if path == "Pipfile.lock":
        try:
            data = json.loads(tree[path])
        except ValueError:
            return path, []
        return path, [
            f"{name}{entry['version']}"
            for part in ("default", "develop")
            for name, entry in data.get(part, {}).items()
            if "version" in entry
        ]
    data = toml(tree, path)
    packages = [entry for entry in data.get("package", data.get("packages", ())) if "version" in entry]
    count = Counter(entry["name"] for entry in packages)
    return path, [
        f"{entry['name']}=={entry['version']}"
        for entry in packages
        if count[entry["name"]] == 1 and not {"virtual", "editable", "directory"} & {*entry.get("source", {})}
    ]
