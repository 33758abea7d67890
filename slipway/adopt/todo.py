"""List what is left to do by hand after an adoption. No I/O."""

import ast
import contextlib
import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files

from .inspection import Project
from .packages import Tree

ROWS = tomllib.loads(files(__package__).joinpath("todo.toml").read_text("utf-8"))
# A variable that is read without a default.
ASKED = re.compile(r"(?:[\w.]*environ\[|(?:\w+\.)*env(?:\.\w+)?\(|config\()'(\w+)'[\])]")
LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Try)  # not run at the import, or it may fail


def todo(existing: Tree, project: Project, levels: list[str], edited: str) -> Iterator[str]:
    """Yield what is left to do. To find what is done, search `edited`: the text of files that the team edits."""
    for row in (row for level in levels for row in ROWS.get(level, ())):
        done = "done" in row and all(re.search(each, edited, re.MULTILINE) for each in row["done"])
        lines = {
            path: line_in(row, path, text, project) for path, text in existing.items() if f"# {path}\n" not in edited
        }
        places = [f"{path}:{number}" for path, number in lines.items() if number]
        if places and not done:
            rest = f" and {len(places) - 3} more" if len(places) > 3 else ""
            yield f"{', '.join(sorted(places, key=len)[:3])}{rest}: {row['text']}"
    if "image" in levels:
        yield from unset_variables_todo(existing, project)
        yield from catalogues_todo(existing)
        if project.celery and f"{project.package}/celery.py" not in existing:
            package = project.package
            yield f"{project.celery}:1: the image runs celery -A {package}: import the app in {package}/celery.py"


def line_in(row: dict[str, str], path: str, text: str, project: Project) -> int:
    """Return the line of a file that needs this row's work; 0 if none does."""
    chosen = path in project.settings_files if row["files"] == "settings" else re.fullmatch(row["files"], path)
    if not chosen or ("unless" in row and re.search(row["unless"], text)):
        return 0
    return line_of(text, row["has"]) if "has" in row else 1


def line_of(text: str, pattern: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)), 0)


def unset_variables_todo(tree: Tree, project: Project) -> Iterator[str]:
    """Yield a to-do for each environment variable that the settings read without a default or a check."""
    # Defaults may be in another file: environ.Env(DEBUG=(bool, False)).
    provided = {"SECRET_KEY", "SITE_URL", "DATABASE_URL"}  # the build sets them
    provided |= {name for text in tree.values() if "Env(" in text for name in re.findall(r"\b(\w+)=\(", text)}
    for path in project.settings_files:
        with contextlib.suppress(SyntaxError):  # the file may need another version of Python
            for number, name in variables_read(ast.parse(tree[path])):
                if name not in provided:
                    yield f"{path}:{number}: {name} is not set while the image is built: give it a default"


def variables_read(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, variable) for each variable that code reads without a default if no variable is set: then a
    condition is false, unless it says not."""
    if isinstance(node, LATER):
        return
    if isinstance(node, (ast.Call, ast.Subscript)) and (match := ASKED.fullmatch(ast.unparse(node))):
        yield node.lineno, match[1]
    children = [*ast.iter_child_nodes(node)]
    if isinstance(node, (ast.If, ast.IfExp)):
        taken = node.body if re.match(r"not |.* not in ", ast.unparse(node.test)) else node.orelse
        children = [node.test, *(taken if isinstance(taken, list) else [taken])]
    for child in children:
        yield from variables_read(child)


def catalogues_todo(existing: Tree) -> Iterator[str]:
    """Yield a to-do for catalogues that git lacks."""
    if bare := [path for path in existing if path.endswith(".po") and f"{path[:-2]}mo" not in existing]:
        yield (
            f"{bare[0]}:1: git has no .mo file of {len(bare)} catalogues, so an image built elsewhere is not "
            "translated: commit these files, or run compilemessages before make build"
        )
