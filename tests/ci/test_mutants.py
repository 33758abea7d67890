"""Tests of tests/mutants.py and tests/generated_mutants.py."""

import argparse

import pytest

import generated_mutants
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


def generated(code):
    return generated_mutants.mutants_of("a.py", code, ["x/test_a.py"])


def keys(code):
    return [one.key for one in generated(code)]


SMALL = """
@cache
def small(value: int = 1, *, most: int | None = 300) -> str | None:
    if not value or value == most:  # why
        return "a" + "b"
    return None
"""
MUTANTS = [
    "if not value or value == most: => if not value and value == most:",
    "if not value or value == most: => if value or value == most:",
    'return "a" + "b" => return "a" - "b"',
    "if not value or value == most: => if not value or value != most:",
]


def test_what_is_generated():
    """Decisions are changed; not types, decorators, texts, and estimated limits, about which tests say nothing."""
    made = [key.removeprefix("small: ") for key in keys(SMALL)]
    defaults = [key for key in made if key.startswith("def ")]
    assert [key for key in made if key not in defaults] == MUTANTS
    assert [key.partition("value: int = ")[2][:1] for key in defaults] == ["1", "1"] and len(defaults) == 2
    assert keys("if not a: b()") == ["module: if not a: b() => if a: b()"]
    assert keys("if a is None: b()") == ["module: if a is None: b() => if a is not None: b()"]
    assert keys("A = lambda a, *, b: a == b") == ["module: A = lambda a, *, b: a == b => A = lambda a, *, b: a != b"]
    assert keys("ROOM = 2**30 * 2") == [
        "module: ROOM = 2**30 * 2 => ROOM = 2**30 * 3",
        "module: ROOM = 2**30 * 2 => ROOM = 2**30 * 1",
        "module: ROOM = 2**30 * 2 => ROOM = 2**30 / 2",
    ]


def test_a_judged_mutant_stays_judged():
    """Its name has no line number and no comment. The same change twice in a function has a number."""
    moved = SMALL.replace("# why", "# why else").replace("@cache", "LATER = True\n\n\n@cache")
    assert [key for key in keys(moved) if not key.startswith("module: ")] == keys(SMALL)
    assert keys("def small(a):\n    yield a + 1\n    yield a + 1\n")[:2] == [
        "small: yield a + 1 => yield a + 2",
        "small: yield a + 1 => yield a + 0",
    ]
    assert "small 2: yield a + 1 => yield a - 1" in keys("def small(a):\n    yield a + 1\n    yield a + 1\n")


def test_a_mutant_is_one_change():
    """The rest of the file stays as it is."""
    code = "A = 1\n\n\ndef f(a):\n    # why\n    return a and 2\n\n\nB = 3  # why\n"
    changed = {one.key: one.code for one in generated(code)}
    assert changed["f: return a and 2 => return a or 2"] == code.replace("and", "or")
    assert changed["module: B = 3 => B = 4"] == code.replace("B = 3", "B = 4")


def test_an_exception_is_one_that_nobody_raises():
    """A name that the file does not know would fail any test that raises another of the exceptions."""
    (one,) = generated("try:\n    pass\nexcept OSError:\n    pass\n")
    assert one.key == "module: except OSError: => except GeneratorExit:"
    assert keys("try:\n    pass\nexcept zlib.error:\n    pass\n") == []


def test_the_list_of_those_that_may_survive():
    """Each entry fits a mutant of the code and has a reason; each file has tests."""
    made = [*generated(SMALL), *generated_mutants.mutants_of("b.py", "A = 1")]
    one = next(one for one in made if one.key.endswith("and value == most:"))
    lines = ["== a.py: x/test_a.py", f"{one.key} # equivalent: they are never both", f"{one.key} # "]
    kept, problems = generated_mutants.kept(made, [*lines, "small: gone => went # never mind"])
    assert kept == {one.name} and generated_mutants.tests_of_files(lines) == {"a.py": ["x/test_a.py"]}
    assert [text.partition(": ")[0].rpartition("/")[2] for text in problems] == [
        "generated_mutants.txt",
        "generated_mutants.txt:3",
        "generated_mutants.txt:4",
    ]
    assert "b.py: name its tests" in problems[0]


def test_each_file_with_generated_mutants_has_tests():
    """A new module that no list names would keep all of them from running."""
    named, root = mutants.tests_of_files(), generated_mutants.ROOT
    paths = [path for name in generated_mutants.FILES for path in root.glob(name)]
    unnamed = [path for path in paths if not named.get(str(path.relative_to(root)))]
    assert [path for path in unnamed if generated_mutants.mutants_of(path.name, path.read_text())] == []


def test_samples_of_generated_mutants():
    """A sample is the same at each commit: other mutants leave it or join it, the rest stays. The parts are all."""
    made = generated(SMALL)
    others = generated("A = 1 + 2 + 3\nB = A and A\n")
    expected = sorted([*generated_mutants.sample(made, 4), *others], key=lambda one: one.rank)[:4]
    assert generated_mutants.sample([*others, *reversed(made)], 4) == expected
    parts = [generated_mutants.part(made, f"{number}/3") for number in (1, 2, 3)]
    assert sorted(one for some in parts for one in some) == sorted(made)


def test_what_ci_runs_of_generated_mutants(monkeypatch):
    """A part of the sample, which stays as small if one of it is kept, and as many of those that a change has made."""
    made = generated(SMALL)
    old = SMALL.replace("not value or value", "not value and value")
    told = {"diff": ["a.py", "README.md"], "ls-tree": ["a.py"], "show": old.splitlines()}
    monkeypatch.setattr(mutants, "git", lambda word, *more: told[word])
    monkeypatch.setattr(generated_mutants, "read", lambda tests: made)
    first = generated_mutants.sample(made, 1)[0]
    new = [one for one in made if " or " in one.key]
    for judged, since, most, expected in (
        (set(), None, None, made),
        (set(), None, 1, [first]),
        ({first.name}, None, 1, []),
        (set(), "main", None, new),
        (set(), "main", 1, {first, generated_mutants.sample(new, 1)[0]}),
    ):
        monkeypatch.setattr(generated_mutants, "kept", lambda made, judged=judged: (judged, []))
        chosen = mutants.by_tool(argparse.Namespace(since=since, most=most, part="1/1"))
        assert sorted(chosen) == sorted(expected), (since, most)
