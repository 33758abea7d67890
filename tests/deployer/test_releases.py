"""TAG, REVERT and releases.log: how they are written and read, and the release that a rollback goes to."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proc import run
from slipway.deploy.agent import releases
from slipway.deploy.agent.host import Problem
from slipway.deploy.screen import commits, text_tables

RECORD = {"tag": "v1", "image_id": "sha256:1", "action": "deploy", "outcome": "committed"}


def done(*tags, **extra):
    return [{**RECORD, "tag": tag, "image_id": f"sha256:{tag}", **extra} for tag in tags]


def test_a_tag_file_is_for_the_shell(tmp_path):
    text = releases.tag_text({"tag": "build-42", "image_id": "sha256:abc"})
    assert text == "export TAG=build-42\nexport IMAGE_ID=sha256:abc\n"
    assert run(["sh", "-c", f"{text} echo $TAG"]).stdout == "build-42\n"
    assert releases.parse_tag(text) == {"tag": "build-42", "image_id": "sha256:abc"}
    assert releases.parse_tag(None) is None
    assert shlex.split(releases.tag_text({"tag": "a b;c", "image_id": ""}))[1] == "TAG=a b;c"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# nothing\n",
        b"export TAG=\n",
        b"export TAG='v1\n",
        b"TAG=a;b\n",
        b"\0\xff" * 500,
        b"x" * 9_000_000,
        b"TAG='" + b"\n" * 9_000_000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_tag_file_that_names_nothing_is_told(tmp_path, content):
    """A malformed TAG is a one-line problem, found quickly; only a missing file means that there is no release."""
    (tmp_path / "TAG").write_bytes(content)
    with pytest.raises(Problem, match=r"/TAG names no release: correct it to lines such as `export TAG=build-42`$"):
        releases.read_tag(str(tmp_path / "TAG"))
    assert releases.read_tag(str(tmp_path / "REVERT")) is None


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers() | st.none(), max_size=4))
def test_a_record_is_read_as_it_was_written(content):
    content = {key: value for key, value in content.items() if key not in ("id", "at", "who")} | RECORD
    line = releases.log_line(content)
    assert line.count("\n") == 1
    assert releases.parse_line(line) == {**content, "version": releases.VERSION}
    assert releases.parse_line(line[:-3]) is None


def test_a_torn_line_is_skipped_and_counted():
    torn = releases.log_line(RECORD) + releases.log_line(RECORD)[:40]
    assert releases.parse_log(torn) == ([releases.parse_line(releases.log_line(RECORD))], 1)
    records, count = releases.parse_log(releases.append_record(torn, RECORD))
    assert (len(records), count) == (2, 1)


@pytest.mark.parametrize(
    "extra",
    [
        {"tag": "v 1"},
        {"tag": ""},
        {"image_id": "a/b"},
        {"digest": "sha256:1\r\n"},
        {"seconds": -3590.2},
        {"seconds": "x"},
    ],
)
def test_a_record_of_no_release_is_torn(extra):
    assert releases.parse_log(releases.log_line({**RECORD, **extra})) == ([], 1)
    with pytest.raises(ValueError):
        releases.append_record("", {**RECORD, **extra})


def test_what_is_newer_is_refused_by_name():
    line = releases.log_line(RECORD).replace('"version": 1', '"version": 2')
    with pytest.raises(Problem, match=r"releases.log has version 2"):
        releases.parse_line(line)


def test_what_changed_between_releases(tmp_path, monkeypatch):
    """`slipway releases` has the commit, the commits since the last release, if they are here, and settings."""

    def git(*words):
        return run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words]).stdout.strip()

    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    first, *_, last = [
        git("commit", "-q", "--allow-empty", "-m", f"Do {number}") or git("rev-parse", "HEAD") for number in range(8)
    ]
    records = [
        {**RECORD, "at": 1, "revision": first},
        {**RECORD, "tag": "v2", "at": 2, "revision": "--output=x", "outcome": "taken back", "cause": "no\nroom"},
        {**RECORD, "tag": "v3", "at": 3, "revision": f"{last}-dirty", "settings": "A, B"},
        {**RECORD, "tag": "v3", "at": 3.5, "migrations": "shop.0002_note; lock: shop.0002_note: nobody writes"},
        {**RECORD, "at": 4, "action": "rollback"},
        {**RECORD, "tag": "v4", "at": 5, "revision": "0" * 40},
    ]
    told = [
        text
        for text in text_tables.releases_table(
            {"web1": {"records": [{**record, "id": str(record["at"])} for record in records]}}, commits.between
        ).split("\n")
        if text.startswith(" ")
    ]
    assert [re.sub(r"  [0-9a-f]{7} ", "  ", text).strip() for text in told] == [
        f"commit {first[:12]}",
        "commit --output=x",
        "no room",
        "changed settings: A, B",
        f"commit {last[:12]}",
        *(f"Do {number}" for number in (7, 6, 5, 4, 3)),
        "and 2 more",
        "migrations: shop.0002_note; lock: shop.0002_note: nobody writes",
        f"commit {last[:12]}",
        f"commit {first[:12]}",
        "commit " + "0" * 12,
    ]
    assert commits.between("--output=x", last) == [] and not [*tmp_path.glob("x*")]


CASES = [  # records, TAG before, the new TAG, the tag rolled back from → REVERT
    ([], None, "v1", "", None),
    (done("v1"), "v1", "v2", "", "v1"),
    (done("v1", "v2"), "v2", "v3", "", "v2"),
    (done("v1", "v2", "v3"), "v3", "v2", "v3", "v1"),
    (done("v1", "v2", "v3") + done("v2", action="rollback", withdrawn="v3"), "v2", "v2", "", "v1"),
    (done("v1", "v2") + done("v1", action="rollback", withdrawn="v2"), "v1", "v2", "", "v1"),
    (done("v1", "v2", "v1"), "v1", "v1", "", "v2"),
    (done("v1", "v2") + done("v1", action="rollback", withdrawn="v2") + done("v2", "v3"), "v3", "v3", "", "v2"),
    (done("v1", "v2") + done("v3", outcome="taken back"), "v2", "v2", "", "v1"),
    ([], "by-hand", "v1", "", "by-hand"),
]


@pytest.mark.parametrize("records, current, tag, left, revert", CASES)
def test_where_a_rollback_will_go(records, current, tag, left, revert):
    current = current and {"tag": current, "image_id": f"sha256:{current}"}
    found = releases.revert_for(records, current, tag, left)
    assert (found and found["tag"]) == revert
