"""The branches of a database's life: which backup a restore begins with, and whether the archive has all on its way."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.deploy.backup import branches
from slipway.deploy.backup.branches import BYTES, Backup, Event, Target, name
from slipway.deploy.backup.shell import Problem


def backup(at, number, timeline=1, kind="full"):
    """Return a backup that ended at this time, in this segment."""
    return Backup(f"b{at}", kind, at, name(timeline, number), number * BYTES + 100, 5)


def history(*left):
    """Return a timeline's history: the (timeline, LSN) that were left for it."""
    return "".join(f"{timeline}\t{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}\tbefore\n\n" for timeline, lsn in left)


FIRST, SECOND = backup(1000, 10), backup(2000, 20)
TWO = {2: history((1, 15 * BYTES + 500))}  # a swap to a moment between both
OTHER = backup(3000, 16, timeline=2)


def test_a_restore_begins_with_the_newest_backup_before_the_time():
    found = {at: branches.base_for(Target(1, at=at), [FIRST, SECOND], {}) for at in (1000, 1999, 2000, 9000)}
    assert [*found.values()] == [FIRST, FIRST, SECOND, SECOND]
    assert branches.base_for(Target(1), [FIRST, SECOND], {}) == SECOND
    with pytest.raises(Problem, match=r"the oldest base backup of then ended at .*: choose a later time"):
        branches.base_for(Target(1, at=999), [FIRST, SECOND], {})
    with pytest.raises(Problem, match="no base backup"):
        branches.base_for(Target(1), [], {})


def test_a_backup_of_an_abandoned_branch_is_never_chosen():
    """The second one ended after the point to which the swap went back."""
    backups = [FIRST, SECOND, OTHER]
    assert branches.base_for(Target(2, at=2900), backups, TWO) == FIRST
    assert branches.base_for(Target(2, at=3000), backups, TWO) == OTHER
    assert branches.base_for(Target(1, at=2900), backups, TWO) == SECOND
    assert branches.base_for(Target(1, lsn=25 * BYTES), backups, TWO) == SECOND
    assert branches.base_for(Target(1, lsn=19 * BYTES), backups, TWO) == FIRST


def test_a_moment_belongs_to_the_branch_that_lived_then():
    swaps = [Event(2500, 2), Event(4000, 3)]
    histories = {**TWO, 3: history((1, 12 * BYTES))}
    lived = {at: branches.living(at, branches.events(swaps, []), histories) for at in (0, 2499, 2500, 3999, 4000, 9e9)}
    assert [*lived.values()] == [1, 1, 2, 2, 3, 3]
    assert branches.living(9e9, [], {}) == 1


def test_without_a_record_the_archive_tells():
    """As of a lost server, whose newest swap had not sent its record. A swap back, which is on record, goes before."""
    seen = [Event(2490, 2), Event(3990, 3)]
    histories = {**TWO, 3: history((1, 15 * BYTES + 500), (2, 17 * BYTES))}
    assert branches.living(9e9, branches.events([Event(2500, 2)], seen), histories) == 3
    assert branches.living(9e9, branches.events([Event(2500, 2), Event(4000, 2)], seen), histories) == 2
    assert branches.living(1, branches.events([], seen), histories) == 1


# ---- gaps ----


def names(timeline, first, last):
    return {name(timeline, number) for number in range(first, last + 1)}


def test_a_gap_in_the_archive_is_seen():
    archived = names(1, 254, 258)
    assert branches.first_gap(name(1, 254), 1, "", archived) == ""
    assert branches.first_gap(name(1, 253), 1, "", archived) == name(1, 253)
    assert branches.first_gap(name(1, 254), 1, "", archived - {name(1, 256)}) == name(1, 256)


def test_a_gap_on_the_way_to_another_timeline():
    """The old timeline's last segment is not needed, as the new one has its beginning, too."""
    archived = names(1, 10, 14) | names(2, 15, 18)
    assert branches.first_gap(name(1, 10), 2, TWO[2], archived) == ""
    assert branches.first_gap(name(1, 10), 2, TWO[2], archived - {name(1, 14)}) == name(1, 14)
    assert branches.first_gap(name(1, 10), 2, TWO[2], archived - {name(2, 15)}) == name(2, 15)


def test_only_whole_segments_count():
    archive = [
        f"{name(1, 1)}-0123456789abcdef.zst",
        f"{name(1, 2)}.partial-01.zst",
        "00000002.history",
        f"{name(1, 3)}.00000028.backup",
    ]
    assert branches.segments(archive) == {name(1, 1)}


# ---- random histories ----


@dataclass
class Life:
    """A database's life: at each moment, a number, the living timeline has a segment. `row`: who wrote what when."""

    now: int = 0
    timeline: int = 1
    position: int = 1  # the segment
    newest: int = 1  # timeline

    def __post_init__(self):
        self.backups, self.events, self.histories = [], [], {}
        self.lived = {}  # moment → (timeline, segment)
        self.parents = {1: {}}  # timeline → ancestor → segment at which it was left

    def write(self):
        self.now, self.position = self.now + 1, self.position + 1
        self.lived[self.now] = self.timeline, self.position

    def back_up(self):
        self.write()
        self.backups.append(backup(self.now, self.position, self.timeline))
        self.write()

    def swap(self, back):
        """Go back to a moment, on a timeline of its own."""
        moment = max(1, self.now - back)
        timeline, segment = self.lived[moment]
        self.newest += 1
        self.parents[self.newest] = {**self.parents[timeline], timeline: segment}
        self.histories[self.newest] = history(
            *((old, at * BYTES + 200) for old, at in self.parents[self.newest].items())
        )
        self.now += 1
        self.timeline, self.position = self.newest, segment
        self.events.append(Event(self.now, self.newest))
        self.lived[self.now] = self.timeline, self.position


STEPS = st.lists(st.one_of(st.just("write"), st.just("base"), st.integers(0, 30)), min_size=1, max_size=40)


@given(STEPS, st.data())
def test_the_chosen_backup_lies_on_the_branch_that_lived_then(steps, data):
    """Whatever was restored before, and swapped: it ended before the moment, and what it has was of that branch."""
    life = Life()
    life.write()
    life.back_up()
    for step in steps:
        {"write": life.write, "base": life.back_up}.get(step, lambda step=step: life.swap(step))()
    moment = data.draw(st.sampled_from(sorted(life.lived)))
    timeline, _ = life.lived[moment]
    assert branches.living(moment, life.events, life.histories) == timeline
    try:
        chosen = branches.base_for(Target(timeline, at=moment), life.backups, life.histories)
    except Problem:
        assert not [each for each in life.backups if on_way(life, each, timeline) and each.at <= moment]
        return
    assert chosen.at <= moment and on_way(life, chosen, timeline)
    newer = [
        each for each in life.backups if on_way(life, each, timeline) and each.at <= moment and each.at > chosen.at
    ]
    assert not newer


def on_way(life, each, timeline):
    segment = branches.number(each.first)
    return each.timeline == timeline or segment <= life.parents[timeline].get(each.timeline, -1)


def test_a_backup_without_a_segment_of_its_own_is_not_whole():
    """Postgres would wait for that one before it answers."""
    archived = {name(2, number) for number in (254, 255, 257)}
    assert branches.is_whole(name(2, 254), name(2, 255), archived)
    assert not branches.is_whole(name(2, 255), name(2, 257), archived) and not branches.is_whole(
        name(1, 254), name(1, 254), archived
    )
