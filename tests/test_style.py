"""All Python is formatted by ruff, and says conditions by `if`: not by arithmetic, an index, or a bare expression."""

import ast

import pytest

from proc import ROOT, VE_PYTHON, output, run

TESTS_OF_TRUTH = {"any", "all", "bool", "isinstance", "startswith", "endswith", "exists", "has"}


def is_condition(node):
    """Return True if the expression is a condition by its form."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in TESTS_OF_TRUTH
    is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return is_not or isinstance(node, (ast.BoolOp, ast.Compare))


def is_number(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def riddles(code):
    """Yield (line, what) of each condition that is written as something else."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            sides = node.left, node.right
            if any(map(is_condition, sides)) and not any(map(is_number, sides)):
                yield node.lineno, "a condition as a factor"
        elif isinstance(node, ast.Subscript):
            bounds = [node.slice.lower, node.slice.upper] if isinstance(node.slice, ast.Slice) else [node.slice]
            if any(map(is_condition, bounds)):
                yield node.lineno, "a condition as an index"
        elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.IfExp, ast.BoolOp)):
            yield node.lineno, "a condition as a statement"


def test_conditions_are_written_as_conditions():
    paths = output(["git", "ls-files", "*.py"], cwd=ROOT).splitlines()
    found = [
        (path, *riddle) for path in paths if (ROOT / path).exists() for riddle in riddles((ROOT / path).read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "text * (a > b)",
        "['x'] * bool(a)",
        "f'{a}' * (not a)",
        "[a] * a.startswith(b)",
        "pair[a == b]",
        "words[isinstance(a, str) :]",
        "a() if b else c()",
        "a or b()",
    ],
)
def test_such_a_riddle_is_found(code):
    assert [*riddles(code)]


def test_a_line_of_a_text_ends_at_a_line_feed():
    """What clients, containers and programs of hosts say may be full of U+2028 and the like, where splitlines() would
    end a line, too. agent/host.py has lines_of."""
    paths = output(["git", "ls-files", "slipway/deploy/*.py"], cwd=ROOT).splitlines()
    assert [path for path in paths if (ROOT / path).exists() and ".splitlines()" in (ROOT / path).read_text()] == []


def test_all_python_is_formatted():
    done = run([VE_PYTHON, "-m", "ruff", "format", "--check", "--no-cache", "."], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_are_short():
    """CONTRIBUTING.md names the limit."""
    paths = [ROOT / path for path in output(["git", "ls-files", "*.py"], cwd=ROOT).splitlines()]
    lengths = {str(path): len(path.read_text().splitlines()) for path in paths if path.exists()}
    assert {path: lines for path, lines in lengths.items() if lines > 320} == {}
