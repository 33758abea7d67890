"""Commands from the docs."""

import re


def block(path, first):
    """Return the indented block of a page that begins with `first`, without its indent."""
    blocks = re.findall(r"(?<=\n\n)(?:    .*\n)+", path.read_text())
    [found] = [text for text in blocks if text.startswith("    " + first)]
    return re.sub("^    ", "", found, flags=re.MULTILINE)
