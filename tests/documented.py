"""Commands from the docs."""

import re


def block(path, after):
    """Return the indented block that follows these words in a page, without its indent."""
    text = path.read_text()
    assert text.count(after) == 1, f"{path.name} has {after!r} {text.count(after)} times"
    found = re.match(r"[^\n]*\n\n((?:    .*\n)+)", text.partition(after)[2])
    assert found, f"nothing is indented after {after!r}"
    return re.sub("^    ", "", found[1], flags=re.MULTILINE)
