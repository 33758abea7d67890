"""Make the manual's site: `site build PYTHON FOLDER` in FOLDER/html; `site serve PYTHON FOLDER PORT` also shows it.
PYTHON is one that has Sphinx.

The pages stay plain Markdown, which a forge shows, too. Sphinx with MyST and Furo builds them: it checks every link and
anchor, and all three are maintained, which MkDocs 1 no longer is, while its successors are new.
In Slipway's own repository the site has all its pages, and a wrong link is an error. Elsewhere it has the manual's.
"""

import argparse
import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from slipway.deploy.__main__ import COMMANDS, add_common

CHECKOUT = Path(__file__).absolute().parents[2]
SOURCES = """README.md CHANGELOG.md LICENSE Makefile .github deploy docker docs examples project slipway
             tests/pytest.ini""".split()
PAGES = "README.md", "CHANGELOG.md", "docs/*.md", "examples/**.md", ".github/CONTRIBUTING.md", "commands/*.md"
# Heading of the navigation → pages, without .md.
NAVIGATION = {
    "Begin": ["how-it-works", "tutorial", "one-server", "two-servers", "adopt", "compare"],
    "Develop": ["make", "settings", "tasks", "files", "image"],
    "Operate": ["provision", "server", "deploy", "ci", "data", "backup", "operations", "trouble", "swarm", "update"],
    "Inside": ["design", "benchmarks", "faults"],
}
ACTIONS = {"env": ("list", "set", "unset", "set-file")}  # what has a help of its own
CONFIGURATION = """\
project, author = "Slipway", "the Slipway authors"
extensions = ["myst_parser"]
root_doc, include_patterns = {root!r}, {pages!r}
html_theme, html_title, html_show_copyright = "furo", "Slipway", False
highlight_language = "sh"
myst_heading_anchors, myst_enable_extensions = 4, ["html_image"]
"""
HOME = '<meta http-equiv="refresh" content="0; url={}.html">\n'  # Sphinx names the first page as its file


def main(action: str, python: str, folder: str, *port: str) -> None:
    source, html, whole = Path(folder, "source"), Path(folder, "html"), (CHECKOUT / "docs/design.md").exists()
    first = write(source, whole)
    if code := build(python, source, html, whole):
        sys.exit(code)
    (html / "index.html").write_text(HOME.format(first))
    if action == "serve":
        print(f"make: the manual is at http://localhost:{port[0]}; Ctrl-C ends this", file=sys.stderr)
        os.execv(sys.executable, [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(html), *port])


def build(python: str, source: Path, html: Path, strict: bool) -> int:
    """Return Sphinx's exit code. `strict`: print all warnings, such as of wrong links, and fail if there is one."""
    options = ["--quiet", "--fresh-env", "--fail-on-warning", "--keep-going"] if strict else ["-Q"]
    return subprocess.call([python, "-m", "sphinx", "--builder=html", *options, str(source), str(html)])


def write(source: Path, whole: bool) -> str:
    """Write the pages, and what Sphinx is to do with them, into `source`. `whole`: all pages of the checkout, not only
    the manual's. Return the first page's name."""
    shutil.rmtree(source, ignore_errors=True)
    (source / "commands").mkdir(parents=True)
    for name, text in command_pages():
        (source / f"commands/{name}.md").write_text(text, "utf-8")
    if whole:
        for path in SOURCES:
            copy(CHECKOUT / path, source / path)
        first, text = "README", (CHECKOUT / "README.md").read_text("utf-8")
    else:
        (source / "docs").mkdir()
        for page in files("slipway").joinpath("docs").iterdir():
            (source / "docs" / page.name).write_bytes(page.read_bytes())
        first, text = "index", "# The manual\n\nThe pages stand beside this one.\n"
    (source / f"{first}.md").write_text(text + navigation(), "utf-8")
    (source / "conf.py").write_text(CONFIGURATION.format(root=first, pages=[f"{first}.md", *PAGES]))
    return first


def copy(path: Path, to: Path) -> None:
    """Copy a file or folder. Sphinx would follow a link, and find no other page beside the page."""
    if path.is_dir():
        shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__", "node_modules", ".pytest_cache"))
    else:
        to.parent.mkdir(exist_ok=True)
        shutil.copy(path, to)


def navigation() -> str:
    """Return hidden tables of contents, from which the theme makes the navigation."""
    groups = {heading: [f"docs/{name}" for name in names] for heading, names in NAVIGATION.items()}
    groups["Commands"] = [f"commands/{name}" for name in COMMANDS]
    groups["Further"] = ["*", "examples/**", ".github/CONTRIBUTING"]
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {heading}\n\n" + "\n".join(names) + "\n```\n"
        for heading, names in groups.items()
    )


def command_pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the page of each command: what its --help prints."""
    os.environ["COLUMNS"] = "100"
    for name, text in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"slipway {name}", description=text)
        add_common(parser)
        importlib.import_module(f"slipway.deploy.commands.{name}").add_arguments(parser)
        helps = [help_of(parser, *words) for words in [(), *((action,) for action in ACTIONS.get(name, ()))]]
        yield name, f"# slipway {name}\n\n" + "\n".join(f"```text\n{each}```\n" for each in helps)


def help_of(parser: argparse.ArgumentParser, *words: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        parser.parse_args([*words, "--help"])
    return output.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
