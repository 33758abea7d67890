"""Lists below the options of `slipway --help` all commands, and what make offers in this folder."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

OTHERS = {
    "adopt": "propose what an existing Django project needs",
    "contract": "test an image of another program: docs/image.md",
    "completion": "print what completes these words: completion bash, completion zsh",
    "docs": "list the pages of the manual, or show one: docs deploy",
    "doctor": "list what this machine lacks, and how to get it",
}
OPERATE = "Operate"  # the targets of deploy.mk run the commands above
WIDTH = 100


def overview(groups: Mapping[str, Mapping[str, str]], folder: Path) -> str:
    """Return the text. `groups`: heading → {command: its help text}; `folder`: where the project's .mk files are."""
    parts = [*groups.items(), ("Further", OTHERS)]
    texts = ["\n".join([f"{heading}:", *command_lines(commands)]) for heading, commands in parts]
    targets = [
        textwrap.fill(f"{heading}: {', '.join(names)}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        for heading, names in make_targets(folder).items()
        if heading != OPERATE
    ]
    if targets:
        texts.append("\n".join(["make, which lists these with their meaning by `make help`:", *targets]))
    return "\n\n".join(texts)


def command_lines(commands: Mapping[str, str]) -> Iterator[str]:
    for name, text in commands.items():
        yield f"  {name:12} {text}"


def make_targets(folder: Path) -> dict[str, list[str]]:
    """Return the documented targets of a folder's .mk files under their headings, as `make help` reads them."""
    targets: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.mk")):
        heading = ""
        for line in path.read_text("utf-8", errors="replace").split("\n"):
            if line.startswith("## "):
                heading = line.removeprefix("## ")
            elif target := re.match(r"([a-z][a-z0-9-]*):.*## ", line):
                targets.setdefault(heading, []).append(target[1])
    return targets
