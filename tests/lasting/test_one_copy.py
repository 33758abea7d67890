"""Files that last are written by slipway/lasting/. Nothing else renames, syncs or locks, but for a reason."""

import ast

from proc import ROOT

ITS = "slipway/lasting"
ELSEWHERE = {
    "slipway/deploy/agent/slots.py": "renames within /run, so that going back needs no new file",
    "slipway/deploy/agent/start.py": "runs before the agent's modules are there",
    "slipway/deploy/agent/steps/commit.py": "many renames, then one sync of each folder",
    "slipway/deploy/agent/steps/publish.py": "many files, one sync before their names and one after",
    "slipway/deploy/server/consul_hosts.py": "a server's own program, with nothing beside it",
    "slipway/deploy/ssh/registry.py": "a cache, each file named by its digest, which is looked at again",
    "make/make_ve.py": "make/ is taken without slipway/, and its lock is one that children inherit",
    "make/make_wheelhouse.py": "runs in the builder alone, from a folder to another",
    "slipway/files/folder.py": "Django's storage writes; a name is taken only where it is free",
    "slipway/files/publish.py": "many files, one sync before their names and one after",
}
CALLS = {"rename", "replace", "renames", "fsync", "fdatasync", "link", "symlink", "symlink_to", "hardlink_to", "flock",
         "lockf"}


def calls(path):
    """Names of functions of os, fcntl or pathlib that it calls; `replace` of one argument is no text's."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            of = ast.unparse(node.func.value)
            if of in ("os", "fcntl") or node.func.attr != "link" and len(node.args) == 1 and not node.keywords:
                yield node.func.attr


def test_one_copy():
    """Every exception is still one."""
    found = {str(path.relative_to(ROOT)) for folder in ("slipway", "make")
             for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts and any(calls(path))}
    assert {path for path in found if not path.startswith(ITS)} == {*ELSEWHERE}
    assert f"{ITS}/files.py" in found
