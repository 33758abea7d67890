"""Fills in the templates of host/. Pure but for reading the template."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

HOST = Path(__file__).resolve().parents[1] / "host"
PLACEHOLDER = re.compile(r"@([A-Z][A-Z_]*)@")


def render(name: str, values: Mapping[str, str]) -> str:
    """The text of the template `name` (a path below deploy/host) with every `@KEY@` replaced by `values["KEY"]`.

    Values are text; APP also gives APP_ID, the same with underscores, as nginx's variables are spelt. What a template
    does not use is ignored. Raises ValueError that names every placeholder without a value.
    """
    text = (HOST / name).read_text(encoding="utf-8")
    if "APP" in values:
        values = {"APP_ID": values["APP"].replace("-", "_"), **values}
    unknown = sorted(set(PLACEHOLDER.findall(text)) - set(values))
    if unknown:
        raise ValueError(f"deploy/host/{name} needs a value for {', '.join(unknown)}")
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def each(pattern: str, items: Iterable[object]) -> str:
    """A line for each item, which `{}` in the pattern stands for, as for nginx: `each("server {};", hosts)`."""
    return "\n".join(pattern.format(item) for item in items)
