"""docker-backup shows at a terminal how far it is."""

import threading
from unittest import mock

import pytest

from slipway.deploy.backup import progress, shell
from slipway.deploy.backup.shell import Problem


@pytest.mark.parametrize(
    "done, total, line",
    [
        (0, 0, "0 MB"),
        (3_000_000, 0, "3 MB"),
        (0, 9_000_000, "0 MB of 9 MB"),
        (3_000_000, 9_000_000, "3 MB of 9 MB, 4 s left"),
        (10_000_000, 9_000_000, "9 MB of 9 MB, 0 s left"),  # the database has grown meanwhile
    ],
)
def test_how_far_something_is(done, total, line):
    assert progress.line(done, total, seconds=2) == line


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_shown_at_a_terminal(tmp_path, monkeypatch, capsys, watched):
    """Until the end, whether it succeeds or not; what is in folders counts, too."""
    monkeypatch.setattr(shell, "is_watched", lambda: watched)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").write_bytes(b"x" * 2_000_000)
    asked = threading.Event()

    def done():
        asked.set()
        return progress.size(str(tmp_path))

    with pytest.raises(Problem), progress.shown(done, 4_000_000):
        assert asked.wait(10 if watched else 0) == watched
        raise Problem("the disk is full")
    progress.show(mock.Mock(side_effect=Problem("the container has gone")), 0, threading.Event())
    out = capsys.readouterr().out.removesuffix(progress.CLEAR)
    assert (progress.CLEAR + "2 MB of 4 MB, " in out, out.endswith(progress.CLEAR)) == (watched, watched)
