"""The agent as it is sent, and what follows Consul: Python 3.9 runs them. None of its types is loaded there."""

import ast
import sys

import pytest

from slipway.deploy import agent
from slipway.deploy.agent import FOLDER, MODULES, TYPES, path_of
from slipway.deploy.server.render import HOST
from proc import run

PATHS = [path_of(name) for name in ("start", *MODULES)] + [HOST / "consul_hosts.py"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_python_3_9_reads_it(path):
    """No syntax is newer, and annotations, which are, stay text."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imports = [(node.module, node.names[0].name) for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert ("__future__", "annotations") in imports


def test_types_are_not_sent(tmp_path):
    """On a host nothing of shapes.py and answers.py is there but names, and typing is not loaded."""
    (tmp_path / "agent.py").write_text(agent.bundle())
    code = ("import sys\nspace = {}\nexec(open('agent.py').read(), space)\n"
            "print(sys.modules['agent.answers'].Facts, 'typing' in sys.modules)")
    done = run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path)
    assert done.stdout == "None False\n", done.stderr


def test_every_module_is_sent():
    """But for the types; start.py is how."""
    there = {path.relative_to(FOLDER).with_suffix("") for path in FOLDER.rglob("*.py") if path.stem != "__init__"}
    assert {str(path).replace("/", ".") for path in there} - {*TYPES, "start"} == {*MODULES}
