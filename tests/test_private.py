"""A test that slipway uses what libraries document: no private name of theirs, and no method of theirs replaced."""

import re

from proc import ROOT, VE_PYTHON, output

# Django documents these names: "Default managers" in its page on managers, and "Model _meta API".
PUBLIC = 'lint.flake8-self.extend-ignore-names = ["_default_manager", "_meta"]'
BY_TEXT = re.compile(r"""attr\([^()]+, f?["']_[a-z]|setattr\((?!sys\b)""")  # these hide a name from ruff


def test_no_private_name_of_a_library():
    output(
        [
            VE_PYTHON,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--select=SLF001",
            "--config",
            PUBLIC,
            "--exclude=slipway/tests",
            "slipway",
        ],
        cwd=ROOT,
    )
    code = {path: path.read_text() for path in (ROOT / "slipway").rglob("*.py") if "tests" not in path.parts}
    assert not [f"{path}: {found[0]}" for path, text in code.items() for found in BY_TEXT.finditer(text)]
