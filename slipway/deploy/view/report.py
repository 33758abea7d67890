"""Makes one file of the page, which opens from a disk without a network."""

import base64
import hashlib
import json
import re
from typing import Any

from .server import page_files
from .state import State

# In the order in which each finds those that it imports.
MODULES = ("dom", "words", "ask", "freshness", "worst", "fleet", "visitors", "lists", "underway", "main")
POLICY = "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'"


def report(state: State) -> str:
    """Return the page with its style, its script and these figures."""
    files: dict[str, str] = {path.name: path.read_text("utf-8") for path in page_files()}
    style = files["style.css"]
    script = "".join(as_constant(name, files[f"{name}.js"]) for name in MODULES)
    policy = POLICY.format(digest(style), digest(script))
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
    data = json.dumps({**state, "saved": True}).replace("<", "\\u003c")  # no text of a host ends the element
    page = files["index.html"].replace('<link rel="stylesheet" href="style.css">', head)
    page = page.replace('<script type="module" src="main.js"></script>\n', "")
    return page.replace(
        "</body>", f'<script type="application/json" id="state">{data}</script>\n<script>{script}</script>\n</body>'
    )


def as_constant(name: str, text: str) -> str:
    """Turn a module into a constant of its name, which has what the module exports."""
    exports = re.findall(r"^export (?:async )?function (\w+)", text, re.MULTILINE)
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    text = re.sub(r'^import \{(.*?)\} from "\./(\w+)\.js";', r"const {\1} = module_\2;", text, flags=re.MULTILINE)
    text = re.sub(r'^import \* as (\w+) from "\./(\w+)\.js";', r"const \1 = module_\2;", text, flags=re.MULTILINE)
    return f"const module_{name} = (() => {{\n{text}\nreturn {{{', '.join(exports)}}};\n}})();\n"


def digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def without_errors(state: State) -> State:
    """Return the state without what visitors or the app's data may have put into it."""
    groups = [{**group, "message": "", "text": "", "latest": []} for group in state["errors"]["groups"]]
    releases: list[dict[str, Any]] = [{**entry, "cause": ""} for entry in state["releases"]]
    underway = state["underway"]
    if underway and underway["takeback"]:
        underway = {**underway, "takeback": ""}
    return {**state, "errors": {**state["errors"], "groups": groups}, "releases": releases, "underway": underway}
