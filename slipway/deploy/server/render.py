"""Fills the templates of the files that servers get."""

import re
from collections.abc import Iterable, Mapping
from importlib import resources

HOST = resources.files(__package__)
PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")


def render(name: str, values: Mapping[str, str]) -> str:
    """Return a template with each `@KEY@` replaced. Raise KeyError if a value is missing.
    `@APP_ID@` and `@SITE_ID@` are APP and SITE with underscores for hyphens, which nginx's variables cannot have."""
    values = {**values, **{f"{key}_ID": values[key].replace("-", "_") for key in ("APP", "SITE") if key in values}}
    text = HOST.joinpath(name).read_text(encoding="utf-8")
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def each(pattern: str, items: Iterable[object]) -> str:
    """Return a line for each item, by the pattern: `each("server {};", hosts)`."""
    return "\n".join(pattern.format(item) for item in items)
