"""The waterfall of --timings: when each step began on each host, and how long it took."""

import argparse
import asyncio
import io
import re
import sys
import xml.etree.ElementTree as xml

import pytest

from slipway.deploy.commands import deploy
from slipway.deploy.screen import waterfall
from slipway.deploy.ssh.spans import Span, Spans

SPANS = [Span("load", "", 0, 0.2), Span("connect", "web1", 0.2, 0.8), Span("connect", "web2", 0.2, 1.0),
         Span("pull", "web2", 1.0, 4.0), Span("pull", "web1", 1.0, 1.5)]


@pytest.mark.parametrize("width", [30, 44, 59, 60, 80, 200])
def test_no_line_wraps(width):
    """However wide the terminal is, every span has a line, none is as long as the terminal is wide."""
    lines = waterfall.lines(SPANS, width)
    assert len(lines) == 1 + 3 + len(SPANS) and max(map(len, lines)) < width


def test_bars_stand_where_time_was():
    """Under the axis: a bar begins where its step did, is as long as it took; beside it are the figures."""
    head, here, load, web1, connect, pull, web2, _, late = waterfall.lines(SPANS, 110)
    assert (here, web1, web2) == ("deployer", "web1", "web2")
    assert re.fullmatch(r"  load +█+\S* +0\.00 +0\.20", load)
    assert re.fullmatch(r"  pull +█+\S* +1\.00 +3\.00", late)
    assert late.index("█") == pull.index("█") == head.index("1")
    assert connect.index("█") < pull.index("█") and abs(late.count("█") - 6 * pull.count("█")) <= 6
    assert late.count("█") + late.index("█") == head.index("from") - 4


def test_a_step_that_took_no_time_is_seen():
    """Also at the right edge."""
    lines = waterfall.lines([*SPANS, Span("tidy", "web1", 4.0, 4.0)], 80)
    assert re.fullmatch(r"  tidy +[▏▎█] +4\.00 +0\.00", lines[6])


def test_nothing_was_done():
    """A command that was refused before it did anything shows an axis alone."""
    assert len(waterfall.lines([], 80)) == 1 and waterfall.svg([])


def test_of_many_hosts_the_slowest_are_shown():
    """And it is told where the others are."""
    spans = [Span("pull", f"web{number:02}", 0, number) for number in range(1, 21)]
    lines = waterfall.lines(spans, 80)
    assert [line for line in lines if line.startswith("web")] == [f"web{number}" for number in range(13, 21)]
    assert lines[-1] == "and 12 hosts that ended sooner: --timings FILE.svg shows all"
    assert waterfall.svg(spans).count("<rect") == 21


def test_an_svg_shows_all():
    """A rectangle a span, within the picture, and its figures."""
    spans = [*SPANS, Span("<&>", 'w"<', 3, 4)]
    root = xml.fromstring(waterfall.svg(spans))
    bars = [element for element in root.iter() if element.tag.endswith("rect")][1:]
    assert len(bars) == len(spans)
    assert all(float(bar.get("x")) + float(bar.get("width")) < waterfall.PAPER["width"] for bar in bars)
    texts = [element.text for element in root.iter() if element.text and element.text.strip()]
    assert {"deployer", "web1", 'w"<', "<&>", "pull", "3.00", "pull: from 1.00 to 4.00 s"} <= set(texts)


def test_a_span_is_noted_however_it_ends():
    """Seconds since the command began, which loaded its modules first."""
    spans = Spans()
    with pytest.raises(KeyError), spans.span("pull", "web1"):
        raise KeyError
    load, pull = spans.spans
    assert load[:3] == ("load", "", 0) and pull[:2] == ("pull", "web1") and load.ended <= pull.began <= pull.ended


def options(*words):
    parser = argparse.ArgumentParser()
    deploy.add_display(parser)
    return parser.parse_args(words)


def test_the_file_is_checked_first(tmp_path, capsys):
    """A name that is no picture's, as a TAG after --timings, or a folder that is not there, is refused at once."""
    assert options().timings is None and options("--timings").timings == deploy.TERMINAL
    assert options("--timings", f"{tmp_path}/a.svg").timings == tmp_path / "a.svg"
    for path, said in (("build-42", "a TAG comes before --timings"), (f"{tmp_path}/no/a.svg", "there is no folder")):
        with pytest.raises(SystemExit):
            options("--timings", path)
        assert said in capsys.readouterr().err


class Rolled:
    """A rollout that ends at once."""

    def __init__(self):
        self.timings = Spans()

    async def run(self):
        with self.timings.span("pull", "web1"):
            pass


@pytest.mark.parametrize("words, drawn, file", [([], False, False), (["--timings"], True, False),
                                                (["--timings", "a.svg"], False, True)])
def test_what_is_asked_for_is_drawn(tmp_path, monkeypatch, words, drawn, file):
    """Nothing, on the terminal, or into the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    show = deploy.display.choose(True, io.StringIO())
    asyncio.run(deploy.displayed(Rolled(), show, options(*words)))
    assert ("  pull " in sys.stderr.getvalue()) is drawn and (tmp_path / "a.svg").exists() is file


def test_a_file_that_cannot_be_written_fails_nothing(tmp_path, monkeypatch):
    """What was deployed is deployed: it is told."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    (tmp_path / "a.svg").mkdir()
    deploy.draw(SPANS, tmp_path / "a.svg")
    assert "a.svg: Is a directory" in sys.stderr.getvalue()
