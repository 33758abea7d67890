"""A sample of the fault matrix, another one at each commit. `make faults` runs all of it."""

import time

import pytest

from matrix import cells
from matrix.__main__ import shuffled
from matrix.columns import FAULTS
from proc import ROOT, output

pytestmark = pytest.mark.extra
SAMPLE = 300  # seconds after which no cell begins


def test_a_sample(shop):
    began, wrong = time.monotonic(), []
    for action, step, name in shuffled(output(["git", "rev-parse", "HEAD"], cwd=ROOT)):
        if time.monotonic() - began > SAMPLE:
            break
        wrong += [(action, step, name, text) for text in cells.run(shop, action, step, FAULTS[name]).wrong]
    assert not wrong
