"""docker-backup's drills: what they compare, and when they fail."""

import pytest

from slipway.deploy.backup import drill, restore, state
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.shell import Problem

MADE = {"rows": 5, "tables": 2, "seconds": 1, "newest": 9e9, "timeline": 1, "migrations": []}


def drilled(settings, place, monkeypatch, made, release=""):
    monkeypatch.setattr(Copy, "make", lambda self, choice: made)
    monkeypatch.setattr(drill.pgbackrest, "verify", lambda settings, action: place.asked.append(("verify",)))
    drill.run(settings, place, release)


def test_a_drill_compares_the_migrations(settings, host, place, monkeypatch):
    """It fails if one is missing that was applied before, and leaves nothing."""
    host.answers = {"django_migrations WHERE applied": "shop 0001_initial\nshop 0002_note", **host.answers}
    made = {**MADE, "migrations": ["shop 0001_initial"]}
    with pytest.raises(Problem, match="lacks migrations that were applied before: shop 0002_note"):
        drilled(settings, place, monkeypatch, made)
    assert "lacks migrations" in state.load(settings)["drill"]["problem"]
    assert host.ran("docker rm -f shop-drill")
    drilled(settings, place, monkeypatch, {**made, "migrations": ["shop 0001_initial", "shop 0002_note"]})
    assert state.load(settings)["drill"]["rows"] == 5 and state.load(settings)["drill"]["problem"] == ""
    assert ("verify",) in place.asked


def test_a_drill_of_another_branch_fails(settings, host, place, monkeypatch):
    with pytest.raises(Problem, match="the restored database is of timeline 2, the living one of 1"):
        drilled(settings, place, monkeypatch, {**MADE, "timeline": 2})


def test_a_drill_while_the_database_is_dead(settings, host, place, monkeypatch, capsys):
    """There is nothing to compare with, which it says. The place is read all the same."""

    def dead(settings):
        raise Problem("no such container")

    monkeypatch.setattr(drill.postgres, "position", dead)
    drilled(settings, place, monkeypatch, {**MADE, "newest": 1000}, "shop 0001_initial")
    assert "the living database does not answer: not compared\n" in capsys.readouterr().out
    assert ("verify",) in place.asked and state.load(settings)["drill"]["rows"] == 5


def test_a_drill_waits_for_the_first_base_backup(settings, host, place, monkeypatch):
    """As it sends what the database has now, a base backup begins where there is none."""
    done, answers = [], iter([None, "sent"])
    monkeypatch.setattr(restore, "shipped", lambda *_: done.append("ship") or next(answers))
    monkeypatch.setattr(restore, "chosen", lambda settings, action, at, now: done.append(now))
    monkeypatch.setattr(drill, "wait_for_base", lambda settings: done.append("wait"))
    drilled(settings, place, monkeypatch, MADE)
    assert done == ["wait", "ship", "wait", "ship", "sent"]


def test_a_drill_by_hand_asks_for_what_the_release_needs(settings, host, place, monkeypatch, capsys):
    """As the release's `migrate --check` would. What was applied after the backup's end may be missing."""
    applied = "shop 0001_initial\nshop 0002_note"
    living = {"set until inf": f"{applied}\nshop 0003_tax", "django_migrations WHERE applied": applied}
    host.answers = {**living, **host.answers}
    made = {**MADE, "migrations": applied.splitlines()}
    drilled(settings, place, monkeypatch, made, "shop 0001_initial,shop 0002_note,shop 0003_tax")
    assert "the live release finds its 3 migrations\n" in capsys.readouterr().out
    with pytest.raises(Problem, match="lacks migrations that the live release needs: shop 0004_vat"):
        drilled(settings, place, monkeypatch, made, "shop 0001_initial,shop 0004_vat")


def test_a_drill_of_an_old_backup_fails(settings, host, place, monkeypatch):
    with pytest.raises(Problem, match=r"the newest backup is .* s old, although WAL goes to the repository each 300 s"):
        drilled(settings, place, monkeypatch, {**MADE, "newest": 1000})
