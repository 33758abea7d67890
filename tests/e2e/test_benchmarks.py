"""Test of the commands of docs/benchmarks.md, in their smallest form."""

import pytest

from documented import commands
from proc import ROOT, run

pytestmark = pytest.mark.extra
# Each command's options in its smallest form → its marks: two take five minutes each.
SMALL = {
    "--runs 1": (),
    "--runs 1 start": (),
    "FLEETS=9 FLEET_HOSTS=web1 ARGS='--runs 1 --hosts 1'": pytest.mark.rare,
    "--runs 1 --megabytes 20": pytest.mark.rare,
    "--viewers 1 --seconds 5": pytest.mark.rare,
    "--hosts 1 3 --runs 1": (),
}
CASES = [
    pytest.param(command, small, marks=marks)
    for command, (small, marks) in zip(commands(ROOT / "docs/benchmarks.md"), SMALL.items(), strict=True)
]
OTHER_PARTS = [pytest.param(CASES[1].values[0], "--runs 1 changes build", marks=pytest.mark.rare)]  # of image.py


@pytest.mark.parametrize("command, small", CASES + OTHER_PARTS)
def test_a_benchmark(command, small):
    """It runs to its end, and prints a table or a ratio."""
    done = run(["sh", "-c", f"{command} {small}"], cwd=ROOT, timeout=1800)
    figures = ("ratio", "of loop-migrate's", "above that")
    assert done.returncode == 0 and any(words in done.stdout for words in figures), done.stdout + done.stderr
