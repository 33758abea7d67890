"""Tests of tests/mutants.py."""

import pytest

import mutants


@pytest.mark.parametrize("body, code", [
    ("assert True", 0), ("assert False", 1), ("import pytest; pytest.skip('not to be had: an old Python')", 0),
    ("import pytest; pytest.skip('needs strace')", mutants.SKIPPED)])
def test_a_skipped_test_is_no_passed_one(body, code, tmp_path):
    """Neither with a mutant nor without one, as nothing is shown then; except what no machine has."""
    (tmp_path / "code/tests").mkdir(parents=True)
    (tmp_path / "code/tests/pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    (tmp_path / "code/tests/conftest.py").write_text(
        "import hypothesis\nhypothesis.settings.register_profile('mutants')")
    (tmp_path / "code/tests/test_it.py").write_text(f"def test_it():\n    {body}\n")
    assert mutants.run(tmp_path / "code", ["./test_it.py"])[0] == code
