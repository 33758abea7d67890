"""Fills in the templates beside it. Pure but for reading the template."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

HOST = Path(__file__).resolve().parent
PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")


def render(name: str, values: Mapping[str, str]) -> str:
    """Return the template `name` with every `@KEY@` replaced by `values["KEY"]`; APP also gives APP_ID, with
    underscores, for nginx's variables. Raises ValueError with every placeholder that has no value."""
    if "APP" in values:
        values = {"APP_ID": values["APP"].replace("-", "_"), **values}
    text = (HOST / name).read_text(encoding="utf-8")
    unknown = sorted(set(PLACEHOLDER.findall(text)) - set(values))
    if unknown:
        raise ValueError(f"slipway/deploy/server/{name} needs a value for {', '.join(unknown)}")
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def each(pattern: str, items: Iterable[object]) -> str:
    """The pattern once for each item, which replaces its `{}`, a line each: `each("server {};", hosts)`."""
    return "\n".join(pattern.format(item) for item in items)
