"""Commands and samples from the docs."""

import re
import textwrap

BLOCK = re.compile(r"^( *)```(\w+)\n(?P<fenced>(?s:.*?)\n)\1```$|(?<=\n\n) {4,}\S.*\n(?:(?:    .*)?\n)*", re.MULTILINE)
# What an indented block that is no command begins with: Python, or settings, make's lines, TOML and output.
PYTHON = re.compile("(from|import|def) ")
OTHER = re.compile(r"[\[{-]|\w+ *\??= |OPTS=|ARGS=-|(include|server:|pull|build|web1,) |defaults\n")


def blocks(path):
    """Return (language, text) of each sample of a page; the language of what a reader types is `sh`."""
    found = []
    for part in BLOCK.finditer(path.read_text()):
        text = textwrap.dedent(part["fenced"] or part[0]).strip() + "\n"
        found.append((part[2] or ("python" if PYTHON.match(text) else "" if OTHER.match(text) else "sh"), text))
    return found


def block(path, first):
    """Return the sample of a page that begins with `first`, without its indent."""
    [found] = [text for _, text in blocks(path) if text.startswith(first)]
    return found


def commands(path):
    """Return the command lines of a page, without comments and here-documents."""
    text = "".join(text for language, text in blocks(path) if language == "sh")
    text = re.sub(r"<<'?(\w+)'?\n.*?^\1\n", "<<\n", text.replace("\\\n", ""), flags=re.MULTILINE | re.DOTALL)
    return [line for line in re.sub(r"(^|\s+)# .*", "", text, flags=re.MULTILINE).splitlines() if line.strip()]
