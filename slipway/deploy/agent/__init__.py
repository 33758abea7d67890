"""The agent: the program that the deployer sends to each host. It needs only Python 3.9 or newer.

`bundle` returns the agent's text. The agent's arguments are MODE APP …; serve.py explains the modes."""

import functools
from importlib import resources

# These two modules are outside this folder, because the image needs them too and does not contain slipway/deploy.
SLIPWAY = {"envfile": "envfile.py", "lasting": "lasting/files.py"}
# These two modules contain only types. Instead of each, hosts get this stub, in which every name is None.
TYPES = dict.fromkeys(("shapes", "answers"), "def __getattr__(name):\n    pass\n")
# The order matters: a module may import only modules that are listed before it.
MODULES = ("lasting", "disk", "envfile", "roles", "host", "http", "docker", "progress", "image_files", "visitors",
           "releases", "slots", "attempt", "steps.migrate", "site", "memory", "sqlite", "entrance", "facts", "images",
           "steps.commit", "fate", "steps.probes", "steps.readiness", "steps.start", "steps.verdicts", "steps.publish",
           "steps.watcher", "steps.switch", "steps.replace", "takeback", "steps.begin", "steps.pull", "steps.table",
           "shell", "staging", "serve")


@functools.cache
def bundle() -> str:
    """Return the agent's program: the text of start.py, then a call that loads the other modules."""
    texts = {**TYPES, "steps": "", **{name: text_of(name) for name in MODULES}}
    sources = {"agent": "", **{f"agent.{name}": text for name, text in texts.items()}}
    return f"{text_of('start')}\n\nrun({sources!r}, globals())\n"


def text_of(name: str) -> str:
    path = SLIPWAY.get(name) or f"deploy/agent/{name.replace('.', '/')}.py"
    return resources.files("slipway").joinpath(path).read_text("utf-8")
