"""Tests of tests/mutants.py."""

import pytest

import mutants


@pytest.mark.parametrize(
    "body, code",
    [
        ("assert True", 0),
        ("assert False", 1),
        ("import pytest; pytest.skip('not to be had: an old Python')", 0),
        ("import pytest; pytest.skip('needs strace')", mutants.SKIPPED),
    ],
)
def test_a_skipped_test_is_no_passed_one(body, code, tmp_path):
    """Neither with a mutant nor without one, as nothing is shown then; except what no machine has."""
    (tmp_path / "code/tests").mkdir(parents=True)
    (tmp_path / "code/tests/pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    (tmp_path / "code/tests/conftest.py").write_text(
        "import hypothesis\nhypothesis.settings.register_profile('mutants')"
    )
    (tmp_path / "code/tests/test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert mutants.run(tmp_path / "code", ["./test_it.py"])[0] == code


@pytest.mark.parametrize(
    "code", ["if all(a, b):", "if all(\n    a,\n    b,  # why\n):", "x = all(a, c)\nif   all(a,\n  b): pass"]
)
def test_a_formatter_moves_no_mutant(code):
    ((begin, end),) = mutants.places("all(a, b)", code)
    assert code[begin:end].startswith("all(") and code[end] == ":"


def test_what_a_commit_has_changed(monkeypatch):
    """A new entry counts, and one whose file, tests, or helpers beside these, have changed; no other of the list."""
    lines = ["== a.py: x/test_a.py::test_it", "a => b # harm", "== b.py: y.tests", "c => d # harm", "e => f # harm"]
    old = [lines[0], "g => h # gone", *lines[1:4]]
    for changed, expected in (
        ("tests/mutants.txt", "e"),
        ("b.py", "ce"),
        ("tests/x/conftest.py", "ae"),
        ("y/tests.py", "ce"),
        ("tests/x/test_a.py", "ae"),
        ("tests/x/test_b.py", "e"),
        ("tests/conftest.py", "e"),
    ):
        told = {"diff": [changed], "show": old}
        monkeypatch.setattr(mutants, "git", lambda word, *more: told[word])
        assert "".join(one.old for one in mutants.since("main", [*mutants.read(lines)])) == expected, changed


def test_a_sample_differs_by_commit(monkeypatch):
    """Each run of CI tries other mutants, a second one of the same commit the same."""
    numbers = range(100)
    monkeypatch.setattr(mutants, "git", lambda *words: ["one"])
    first = mutants.sample(numbers, 9)
    assert len({*first}) == 9 and mutants.sample(numbers, 9) == first and len(mutants.sample(numbers, 200)) == 100
    monkeypatch.setattr(mutants, "git", lambda *words: ["two"])
    assert mutants.sample(numbers, 9) != first
