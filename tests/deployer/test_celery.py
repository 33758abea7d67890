"""A host's words about Celery, which it has from its web."""

import json

import pytest

from slipway.deploy.agent import celery, http
from slipway.deploy.agent.host import Host

NOTHING = {"worker": None, "beat": None, "waiting": {}, "dead": None}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"worker": 3.5, "beat": 12, "waiting": {"celery": 4, "slow": 0}, "dead": 1},
            {"worker": 3.5, "beat": 12, "waiting": {"celery": 4, "slow": 0}, "dead": 1},
        ),
        ({"worker": None, "waiting": {}, "dead": 0}, {**NOTHING, "dead": 0}),
        ({"worker": "3", "beat": -1, "waiting": {"celery": "many"}, "dead": True}, NOTHING),
        ({"waiting": [1], "dead": 1e300}, NOTHING),
        ("none", NOTHING),
        (None, NOTHING),
    ],
)
def test_what_celery_does(monkeypatch, tmp_path, value, told):
    """Of a project's own value under this name nothing is told, and a site may have no Celery."""
    monkeypatch.setattr(celery.slots, "live", lambda host: "a")
    monkeypatch.setattr(http, "ask", lambda *words: (200, json.dumps({"celery": value})))
    assert celery.collect(Host("shop", str(tmp_path))) == told


@pytest.mark.parametrize("answer", ["nothing: no such file", "[]", "{"])
def test_a_web_that_does_not_answer(monkeypatch, tmp_path, answer):
    monkeypatch.setattr(celery.slots, "live", lambda host: "a")
    monkeypatch.setattr(http, "ask", lambda *words: (0, answer))
    assert celery.collect(Host("shop", str(tmp_path))) == NOTHING
