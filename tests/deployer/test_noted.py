"""A malformed migrations.json in an image, at any depth, is a problem that names it."""

import contextlib

import pytest

from deployer.noted import OK, build
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.verdicts import parse

CHECK = {"what": "check", "table": "shop_item", "columns": ["note"], "free": [], "idle": [], "text": "x"}
WRONG = [  # in an entry, in a change, in the use of a column
    *({"failed": wrong} for wrong in (["a"], None)),
    *({"unjudged": wrong} for wrong in (1, {})),
    *({"warnings": wrong} for wrong in ("a", [1])),
    *({"before": wrong} for wrong in ([], {"t": []}, {"t": {"c": 1}}, {"t": {"c": {"type": 3}}}, None)),
    *({"changes": wrong} for wrong in ({}, "a", [1], ["a"], [[]], None)),
    *({"locks": wrong} for wrong in ({}, [1])),
    *(
        {"changes": [{**CHECK, **change}]}
        for change in (
            {"what": "a"},
            {"what": ["check"]},
            {"table": 1},
            {"table": ["a"]},
            {"columns": "note"},
            {"columns": [1]},
            {"free": None},
            {"text": []},
            {"idle": [[]]},
            {"what": "column gone"},
            {"what": "column gone", "column": []},
            {"what": "column gone", "column": "a", "to": 1},
            {"what": "labels", "column": "a", "gone": "a"},
            {"what": "type", "column": "a", "old": "text"},
            {"what": "type", "column": "a", "old": "text", "new": 1},
            {"what": "not null", "column": "a"},
            {"what": "not null", "column": "a", "default": "no"},
            {"what": "default gone", "column": "a", "null": 0},
            {"what": "other", "text": 3},
            {"what": "denied", "text": None},
        )
    ),
]


@pytest.mark.parametrize("wrong", [{}, *WRONG], ids=str)
def test_a_malformed_entry_is_a_problem(wrong):
    """Whatever any release uses."""
    text = build({}, postgresql={"shop.0002_note": {**OK, "changes": [CHECK], **wrong}})
    with pytest.raises(Problem, match="in the image is malformed") if wrong else contextlib.nullcontext():
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        pytest.param("[" * 100_000, id="deep"),
        '{"vendors": 3}',
        "1",
        '{"version": "3"}',
        '{"version": 3, "failed": 1}',
        '{"vendors": {"postgresql": {"shop.0001_initial": 1}}}',
        '{"version": 2, "vendors": {"postgresql": {"shop.0001_initial": 1}}}',
        '{"version": 2, "vendors": {"postgresql": {"shop.0001_initial": {"verdict": "error", "messages": 1}}}}',
        build(postgresql=[]),
        build(postgresql={"shop.0001_initial": []}),
        build(postgresql={"shop.0001_initial": {}}),
        build(postgresql={"shop.0001_initial": {"changes": []}}),
        *(
            build(uses, postgresql={})
            for uses in (
                None,
                [],
                {"t": []},
                {"t": {"c": []}},
                {"t": {"c": {"null": "yes"}}},
                {"t": {"c": {"left_out": 1}}},
            )
        ),
    ],
)
def test_a_malformed_answer_of_the_build_is_a_problem(text):
    with pytest.raises(Problem, match=r"migrations.json in the image"):
        parse(text)


def test_an_image_of_a_newer_deployer():
    """Whatever is in it."""
    with pytest.raises(Problem, match="has version 4, which this deployer cannot read: use a newer deployer"):
        parse('{"version": 4, "vendors": 1}')
