"""What `make ports` goes by: edits that fit, and none of the template's own files among them."""

import pytest

from ports import ported as making
from ports.port import Edit, EditError, Move, Page, Port, apply
from proc import ROOT


@pytest.fixture
def ported(tmp_path, monkeypatch):
    """A port that has just been adopted."""
    monkeypatch.setattr(making, "HERE", tmp_path)
    ported = making.Ported(Port("shop", "1", "00", "shop", (), Page("/", ""), (), "shop 0002_more", folder="src"))
    for path in ("src/manage.py", "src/django.mk", "src/requirements.in", "src/requirements/deploy.txt", "notes"):
        (ported.repository / path).parent.mkdir(parents=True, exist_ok=True)
        (ported.repository / path).write_text("1\n2\n")
    ported.git("init", "--quiet")
    ported.commit("All")
    ported.git("tag", "adopted")
    return ported


def test_edits():
    """One upon the other; what does not fit what is there is told."""
    edits = [Edit("", "a", "3\n"), Edit("", "a", old="1", new="0"), Edit("", "b", "new\n")]
    assert apply(edits, {"a": "1\n2\n"}) == {"a": "0\n2\n3\n", "b": "new\n"}
    with pytest.raises(EditError, match="a has no 'x': a reason"):
        apply([Edit("a reason", "a", old="x", new="y")], {"a": "1\n"})


def test_what_is_counted(ported):
    """Files and lines that are edited, and commands; a move is one file."""
    with ported.step("by hand"):
        ported.move([Move("", "../notes", "notes")])
        ported.edit([Edit("", "manage.py", old="2", new="3"), Edit("", "new", "1\n2\n3\n")], "Edited")
        ported.type("true")
    [row] = [line.split() for line in ported.table() if line.startswith("by hand")]
    assert row[2:5] == ["1", "3", "4"] and ported.git("status", "--porcelain") == ""


def test_a_file_of_the_templates_is_not_edited(ported):
    """Nor removed; the team's may be, and what make compiles."""
    with ported.step("by hand"):
        ours = ("manage.py", "requirements.in", "requirements/deploy.txt")
        ported.edit([Edit("", path, "3\n") for path in ours], "1")
        assert ported.taken_over(ROOT) == []
        ported.edit([Edit("", "django.mk", "3\n")], "2")
        assert ported.taken_over(ROOT) == ["django.mk"]
        (ported.folder / "django.mk").unlink()
        assert ported.taken_over(ROOT) == ["django.mk"]


def test_a_command_that_fails_is_told(ported):
    with ported.step("by hand"), pytest.raises(AssertionError, match="sh -c echo why; false: why"):
        ported.type("sh", "-c", "echo why; false")
