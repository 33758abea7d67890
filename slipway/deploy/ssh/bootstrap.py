"""Start the agent on a host: from its folder there, or else from files that the deployer sends once."""

import binascii
import functools
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable

MARK = b"--8<-- slipway"  # the agent's first line; the login's greeting comes before it, even on this line
WANTED = MARK + b" wants its agent"  # the host does not have the agent yet: send it
KEPT = "/run/{app}"  # the folder on a host that holds the agent's folder
# All that the agent imports, under the package's own paths. It needs only Python 3.9.
PARTS = (
    "__init__.py",
    "envfile.py",
    "lasting",
    "schema/__init__.py",
    "schema/rules.py",
    "deploy/__init__.py",
    "deploy/agent",
)
# The agent's __main__.py. The agent's folder is the first of sys.path, where also `python3 FOLDER` puts it.
MAIN = "import sys\n\nfrom slipway.deploy.agent.serve import main\n\nmain(sys.path[0], sys.argv[1:])\n"
# This program's last argument is the agent's folder. It runs nothing from a folder that others can write to.
BOOT = f"""import binascii, os, sys, zlib
path = sys.argv.pop()
parent = os.path.dirname(path)
safe = os.path.isdir(parent) and os.lstat(parent).st_uid == os.geteuid() and not os.lstat(parent).st_mode & 0o22
if not (safe and os.path.isdir(path)):
    os.write(1, {WANTED!r} + b"\\n")
    sent = open(0, "rb", buffering=0, closefd=False).readline()
    exec(zlib.decompress(binascii.a2b_base64(sent)))
sys.path.insert(0, path)
exec(open(path + "/__main__.py").read())
"""


def command(app: str) -> list[str]:
    """Return the command that starts the app's agent on a host. It may ask, by WANTED, for what `sent` returns."""
    return ["python3", "-I", "-S", "-u", "-c", BOOT, "read", app, f"{KEPT.format(app=app)}/{folder_name()}"]


@functools.cache
def agent_files() -> dict[str, str]:
    """Return the agent's files: path in its folder → text."""
    return {**package(PARTS), "__main__.py": MAIN}


def package(parts: Iterable[str]) -> dict[str, str]:
    """Return the files of the package's files and folders `parts`: path → text."""
    top = resources.files("slipway")
    return {
        f"slipway/{path}": file.read_text("utf-8") for part in parts for path, file in walk(part, top.joinpath(part))
    }


def walk(path: str, source: Traversable) -> Iterator[tuple[str, Traversable]]:
    if source.is_file():
        yield path, source
        return
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if (entry.is_dir() and entry.name != "__pycache__") or entry.name.endswith(".py"):
            yield from walk(f"{path}/{entry.name}", entry)


@functools.cache
def folder_name() -> str:
    """Return the name of the agent's folder on a host, with a hash of its files. Before 1.0.0 an agent was a file, and
    before it retired a slot it removed files of other agents, agent-*, and failed at a folder."""
    return f"agent.{hashlib.sha256(repr(agent_files()).encode()).hexdigest()[:16]}"


@functools.cache
def sent() -> bytes:
    """Return what BOOT reads: one line, a compressed program that writes the files."""
    unpack = resources.files("slipway").joinpath("deploy/ssh/unpack.py").read_text("utf-8")
    program = f"{unpack}\n\npath = unpack(path, safe, {agent_files()!r})\n"
    return binascii.b2a_base64(zlib.compress(program.encode(), 9))
