"""What the deployer sends to a host and runs there: standard library only, Python 3.9 or newer, nothing installed.

`bundle` makes one text of it, which runs by itself: `python3 FILE MODE APP …`. Only that function runs here.
"""

import functools
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# The image reads env files and writes files that last, too, and has nothing of the deployer: so these are there.
SLIPWAY = {"envfile": "envfile.py", "lasting": "lasting/files.py"}
# Types are for the type checker: on a host any name is in these two, and is None.
TYPES = dict.fromkeys(("shapes", "answers"), "def __getattr__(name):\n    pass\n")
# In this order: each uses only those before it.
MODULES = ("lasting", "disk", "envfile", "roles", "host", "http", "docker", "image_files", "visitors", "releases",
           "slots", "attempt", "steps.migrate", "site", "memory", "sqlite", "facts", "images", "steps.commit", "fate",
           "steps.probes", "steps.readiness", "steps.start", "steps.verdicts", "steps.publish", "steps.watcher",
           "steps.switch", "steps.replace", "takeback", "steps.begin", "steps.pull", "steps.table",
           "shell", "staging", "serve")


@functools.cache
def bundle() -> str:
    """The text of the whole agent, a Python program: start.py, and a call that gives it the other modules."""
    texts = {**TYPES, "steps": "", **{name: path_of(name).read_text("utf-8") for name in MODULES}}
    sources = {"agent": "", **{f"agent.{name}": text for name, text in texts.items()}}
    return f"{path_of('start').read_text('utf-8')}\n\nrun({sources!r}, globals())\n"


def path_of(name: str) -> Path:
    """Where the text of a module is."""
    inside = SLIPWAY.get(name)
    return FOLDER.parents[1] / inside if inside else FOLDER / f"{name.replace('.', '/')}.py"
