"""Commands as the docs have them."""

import re


def block(path, after):
    """The lines of the indented block that follows some words of a page, without their indent."""
    text = path.read_text()
    assert text.count(after) == 1, f"{path.name} has {after!r} {text.count(after)} times"
    found = re.match(r"[^\n]*\n\n((?:    .*\n)+)", text.partition(after)[2])
    assert found, f"nothing is indented after {after!r}"
    return re.sub("^    ", "", found[1], flags=re.MULTILINE)
