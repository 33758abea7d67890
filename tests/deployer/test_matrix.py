"""Tests of the fault matrix' plan and page; tests/e2e/test_matrix.py runs a sample of its cells."""

from collections import Counter

from matrix import page
from matrix.__main__ import ACTIONS, OF_A_DEPLOY, all_cells, fleet_of
from matrix.columns import FAULTS

FLEETS = ["bookworm", "trixie"]


def test_each_action_meets_each_debian():
    """Half of each action's cells are on each Debian. What a fault does at a step, it does to a deploy on one Debian,
    to a rollback on the other."""
    cells = Counter((cell[0], fleet_of(cell, FLEETS)) for cell in all_cells())
    for action in ACTIONS:
        one, other = (cells[action, fleet] for fleet in FLEETS)
        assert abs(one - other) < (one + other) / 10, cells
    for name, fault in FAULTS.items():
        for step in {*fault.steps} - {*OF_A_DEPLOY}:
            assert {fleet_of((action, step, name), FLEETS) for action in ACTIONS} == {*FLEETS}, (name, step)


def test_the_page_counts_the_hosts_of_each_action():
    """The page tells how many deploys and how many rollbacks each system has had, and names one that had none."""
    deploy, rollback = (
        {"action": action, "system": f"Debian {name}"} for action, name in zip(ACTIONS, (12, 13), strict=True)
    )
    assert page.systems([deploy, rollback, deploy]) == (
        "Hosts: 2 deploys and 0 rollbacks on Debian 12; 0 deploys and 1 rollbacks on Debian 13."
    )
