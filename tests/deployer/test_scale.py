"""The model by which tests/benchmarks/scale.py tells what many hosts take."""

import sys

import pytest

from slipway.deploy.rollout import plan
from proc import ROOT

sys.path.append(str(ROOT / "tests/benchmarks"))
import scale_model  # noqa: E402


@pytest.mark.parametrize("parallel", [0, 1, 2, 3, 4, 5, 8, 20, 63, 64, 65, 1000])
def test_waves_are_those_of_a_deploy(parallel):
    """The formula, and what the plan does."""
    for hosts in [*range(1, 300), 1000, 1023, 1024, 10_000]:
        others = [str(number) for number in range(1, hosts)]
        assert scale_model.waves(hosts, parallel) == len([*plan.waves(others, parallel)]), hosts


@pytest.mark.parametrize("figure, numbers", [("seconds", [3, 0.2, 0.01]), ("memory", [25, 0.031])])
def test_what_follows_the_model_is_found_again(figure, numbers):
    """And foretold for more hosts than were measured."""
    measured = [(hosts, scale_model.predicted(figure, numbers, hosts)) for hosts in (1, 25, 50, 100, 200)]
    found = scale_model.fitted(figure, measured)
    assert found == pytest.approx(numbers)
    assert scale_model.predicted(figure, found, 1000) == pytest.approx(
        3 + 9 * 0.2 + 10 if figure == "seconds" else 25 + 31)


def test_nothing_is_less_because_hosts_are_more():
    """What chance makes fall is taken for constant, or many hosts would take less than no time."""
    assert scale_model.fitted("takeback", [(1, 5), (50, 4), (100, 3)]) == pytest.approx([4, 0])


def test_a_formula_is_read():
    assert scale_model.formula("seconds", [3, 0, 0.01]) == "seconds = 3 + 0.01 · hosts"


def test_chances_and_uplinks():
    """One host of a thousand is out 1 % of the time; 200 MB for each by 1 Gbit/s."""
    assert scale_model.out(0.01, 1) == pytest.approx(0.01)
    assert scale_model.out(0.001, 1000) == pytest.approx(0.632, abs=0.001)
    assert scale_model.pulled(1000, 200, 1) == 1600
