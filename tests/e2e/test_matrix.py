"""A sample of the fault matrix, another one at each commit. `make faults` runs all of it."""

import random
import time

import pytest

from matrix import cells
from matrix.__main__ import all_cells
from matrix.columns import FAULTS
from proc import ROOT, output

pytestmark = pytest.mark.extra
SAMPLE = 300  # seconds after which no cell begins


def test_a_sample(shop):
    sample, began, wrong = all_cells(), time.monotonic(), []
    random.Random(output(["git", "rev-parse", "HEAD"], cwd=ROOT)).shuffle(sample)
    for action, step, name in sample:
        if time.monotonic() - began > SAMPLE:
            break
        wrong += [(action, step, name, text) for text in cells.run(shop, action, step, FAULTS[name]).wrong]
    assert not wrong
