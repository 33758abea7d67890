"""Handle package indexes in .in files. `indexes check IN…` refuses passwords. `indexes keep IN PINS` copies the indexes
to the file PINS, because uv omits indexes."""

import re
import sys
from pathlib import Path

from slipway.make.package import NAME
from slipway.make.pins import ours_alone

NAMED = re.compile(r"\s*(--extra-index-url|--index-url|-i|--find-links)[\s=]")
PASSWORD = re.compile(r"://[^/\s]*@")
# Allowed before the @ of a URL: ${NAME}, ${A}:${B}, and git's ssh user.
ALLOWED = re.compile(r"://(git|\$\{\w+\}(:\$\{\w+\})?)@[^@\s]*$")


def check(*paths: str) -> None:
    found = ["{} line {}".format(path, number) for path in paths
             for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1)
             if PASSWORD.search(line) and not ALLOWED.search(line.rstrip())]
    if found:
        sys.exit("make: {} has a password: write ${{NAME}} instead, and set NAME in the environment".format(
            " ".join(found)))


def keep(source: str, pins: str) -> None:
    lines = [line for line in Path(source).read_text("utf-8").splitlines(keepends=True) if NAMED.match(line)]
    text = Path(pins).read_text("utf-8")
    for wheel in Path("vendor").glob(f"{NAME}-*.whl"):
        text = ours_alone(text, wheel)
    if not text.startswith("".join(lines)):
        text = "".join(lines) + text
    Path(pins).write_text(text, "utf-8")


if __name__ == "__main__":
    check(*sys.argv[2:]) if sys.argv[1] == "check" else keep(*sys.argv[2:])
