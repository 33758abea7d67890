"""What an agent reads of its host: a file that is not as it should be is a problem that names it, and hides nothing."""

import json
import os
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.deploy.agent import disk, facts, http, releases, slots
from slipway.deploy.ssh import validate
from slipway.deploy.ssh.process import LONGEST
from deployer.simulated import Simulated, world

GOOD = "export TAG=v1\nexport IMAGE_ID=sha256:1\n"
RECORD = {"id": "1", "tag": "v1", "image_id": "sha256:1", "action": "deploy", "outcome": "committed", "at": 1.5,
          "seconds": 2, "who": None, "digest": "sha256:1"}
FILES = ("tag", "revert", "log", "attempt", "slot")
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["tag", "live", "slot", "version", "id", "outcome", "at"]), inner, max_size=4),
                    max_leaves=6).map(json.dumps)
TEXTS = st.one_of(st.binary(max_size=60), JSON.map(str.encode), st.just(b"[" * 3000), st.sampled_from([
    b"export TAG='v1\n", b"TAG=\x1b[31m\n", b"TAG=a b\n", b"TAG=$(id)\n", b"TAG=" + b"x" * 9999, b"[1]", b"\xff\xfe",
    b'{"tag": "v2"}', b'{"version": "2"}', GOOD.encode()]))


@pytest.fixture
def host(tmp_path):
    host = Simulated(tmp_path / "root")
    for path in (host.tag, host.slot_file("a", "tag")):
        disk.write(path, GOOD)
    disk.write(host.log, releases.line(RECORD))
    return host


def paths(host):
    return dict(zip(FILES, (host.tag, host.revert, host.log, host.attempt, host.slot_file("b", "tag"))))


def look(host):
    with world(host):
        found = {**facts.committed(host, "v1"), "more": facts.running(host, False)}
    return {**found, **found.pop("more"), "problems": found["problems"] + facts.running(host, False)["problems"]}


def odd(found):
    """Where the facts are none that a deployer understands."""
    hints = validate.hints(validate.ANSWERS["facts"])
    found = json.loads(json.dumps(found))
    return "".join(validate.mismatch(found[key], shape, key) for key, shape in hints.items() if key in found)


def with_crc(text):
    """A line of releases.log whose checksum is right, whatever it says."""
    return '%s, "crc32": "%08x"}\n' % (text[:-1], zlib.crc32(text.encode(errors="surrogateescape")))


@settings(max_examples=250)
@given(st.sampled_from(FILES), TEXTS, st.booleans())
def test_files_with_anything_in_them(host, name, content, sound):
    """Each is read as what it is, or is a problem by its path; whatever is told can be understood; the others stay."""
    path = paths(host)[name]
    before = disk.read_bytes(path)
    if name == "log" and sound:
        content = with_crc(content.decode(errors="replace").replace("\n", " ")).encode(errors="replace")
    with open(path, "wb") as file:
        file.write(content)
    try:
        found = look(host)
        assert odd(found) == ""
        assert all(path in text or "releases.log" in text for text in found["problems"])
        assert name == "tag" or found["tag"] == {"tag": "v1", "image_id": "sha256:1"}
        assert name == "log" or len(found["records"]) == 1
    finally:
        os.unlink(path) if before is None else open(path, "wb").write(before)


@pytest.mark.parametrize("name, text", [
    ("tag", "export TAG='v1\n"), ("revert", 'TAG="'), ("slot", "TAG='v 1'"), ("attempt", "[1]"), ("attempt", "{}")])
def test_a_malformed_file_is_named(host, name, text):
    """A quote, a space, a list: the file is told, and all else of the host is known."""
    path = paths(host)[name]
    disk.write(path, text)
    with world(host):
        found = facts.collect(host)
    assert [told for told in found["problems"] if path in told] and len(found["records"]) == 1
    assert found["live"] == "a" and found["slots"]["a"]["release"] == {"tag": "v1", "image_id": "sha256:1"}


def test_a_deploy_needs_no_history(host):
    """Many hosts' last records would fill memory: only who shows them asks for them. A tag's are given all the same."""
    disk.write(host.log, "".join(releases.line({**RECORD, "tag": f"v{number}"}) for number in range(150)))
    with world(host):
        whole, less = facts.collect(host, tag="v7"), facts.collect(host, tag="v7", history=False)
    assert [record["tag"] for record in whole["records"]] == [f"v{number}" for number in range(50, 150)]
    assert less["records"] == [] and less["known"] == whole["known"] != []


@pytest.mark.parametrize("body", [
    '{"release": "%s"}' % ("\\u0001" * 150_000), "\x01" * 900_000, "x\n" * 500_000])
def test_no_word_of_an_app_hides_its_host(host, monkeypatch, body):
    """Text without end: what the deployer is told of the host it can take, in a line."""
    host.up = {"shop-web@a.service": ("v1", "sha256:1")}
    monkeypatch.setattr(http, "exchange", lambda sock, request, timeout: (200, body))
    with world(host):
        found = facts.collect(host, health=True)
    assert odd(found) == ""
    assert len(json.dumps(found)) < 2**20 < LONGEST


def test_a_log_of_a_gigabyte(host):
    """Its end is read, soon and in little memory; records there count."""
    with open(host.log, "r+b") as file:
        file.truncate(2**30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + releases.line(RECORD).encode())
    began = time.monotonic()
    tracemalloc.start()
    records, torn = releases.read_log(host)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(records) == 1 and torn <= 1
    assert peak < 8 * releases.LONGEST and time.monotonic() - began < 5
    releases.append(host, RECORD)
    assert os.path.getsize(host.log) < 2 * releases.LONGEST and slots.live(host) == "a"
