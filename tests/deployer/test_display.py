"""What a deploy shows on a terminal."""

import io
import re

import pytest

from deploy.display import SHOWN, Table


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_is_drawn_over_itself(monkeypatch, columns):
    """A line a host, never wider than the terminal; each drawing begins where the one before did. The latest step is
    always there."""
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table(io.StringIO())
    for step in SHOWN:
        for host in ("web1", "web2"):
            table.tell({"event": "step", "step": step, "host": host, "state": "done", "seconds": 1})
    first, *drawings = re.split("\033\\[(?=[0-9])", table.out.getvalue())
    assert first == "web1         lock ✓\n" and drawings.pop(0).startswith("1F")
    for drawing in drawings:
        up, _, text = drawing.partition("\033[J")
        assert up == "2F" and len(text.splitlines()) == 2
        assert all(len(line) < columns for line in text.splitlines())
    assert all(line.endswith("promise ✓ commit ✓") for line in text.splitlines())
    assert ("lock ✓" in text) == (columns == 200)
