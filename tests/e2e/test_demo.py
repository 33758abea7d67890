"""`make demo`, which makes servers of its own."""

import os
from xml.etree import ElementTree

import pytest

from proc import ROOT, passed, run

pytestmark = pytest.mark.extra


def test_nobody_is_dropped_and_it_is_recorded(tmp_path):
    recording = tmp_path / "demo.svg"
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLEET")}
    done = passed(run(["make", "demo", f"ARGS=--no-open --record {recording}"], timeout=1200, cwd=ROOT, env=env))
    assert ", v2 " in done.stdout and "; 0 failed." in done.stdout, done.stdout
    assert "v3" not in done.stdout.splitlines()[-1], "no visitor was served by the bad release"
    texts = ["".join(text.itertext()) for text in ElementTree.parse(recording).iter("{http://www.w3.org/2000/svg}text")]
    for act in ("v2 rolls out", "v3 has a bug", "web2 loses power"):
        assert any(text.startswith(f"✓ {act}") for text in texts), act
    assert any("was taken back" in text or "taken back" in text for text in texts)
