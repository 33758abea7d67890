"""What the deployer sends to a host and runs there: standard library only, Python 3.9 or newer, nothing installed.

`bundle` makes one text of it, which runs by itself: `python3 FILE MODE APP …`. Only that function runs here.
"""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# The dialect of env files is the image's too, which has nothing of the deployer.
ENVFILE = FOLDER.parent.parent / "project/ops/envfile.py"
# Types are for the type checker: on a host any name is in these two, and is None.
TYPES = [(name, "def __getattr__(name):\n    pass\n") for name in ("shapes", "answers")]
# In this order: each uses only those before it.
MODULES = ("disk", "envfile", "host", "http", "engine", "contents", "journal", "visitors", "releases", "slots",
           "attempt", "oneoffs", "site", "facts", "images", "commit", "fate", "verdicts", "static", "proof",
           "watcher", "turn", "takeback", "steps", "shell", "settings", "serve")
LOADER = """\
import sys, types
package = sys.modules["agent"] = types.ModuleType("agent")
package.__path__ = []
for name, text in {sources!r}:
    module = sys.modules["agent." + name] = types.ModuleType("agent." + name)
    module.__package__ = "agent"
    setattr(package, name, module)
    exec(compile(text, "agent/" + name + ".py", "exec"), module.__dict__)
if __name__ == "__main__":
    package.serve.main(sys.argv[1:], globals().get("PROGRAM"))
"""


def bundle() -> str:
    """The text of the whole agent."""
    paths = {name: ENVFILE if name == "envfile" else FOLDER / f"{name}.py" for name in MODULES}
    return LOADER.format(sources=TYPES + [(name, path.read_text("utf-8")) for name, path in paths.items()])
