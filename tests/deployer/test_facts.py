"""Facts that an agent reads from its host, memory included: a malformed file is a problem that names the file."""

import json
import os
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.simulated import Simulated, world
from proc import put
from slipway.deploy.agent import disk, errors, facts, releases, slots, timers
from slipway.deploy.agent.host import Host
from slipway.deploy.agent.roles import Process
from slipway.deploy.server.files import timer as timer_of
from slipway.deploy.ssh import validate
from slipway.deploy.ssh.child import LONGEST

GOOD = "export TAG=v1\nexport IMAGE_ID=sha256:1\n"


RECORD = {
    "id": "1",
    "tag": "v1",
    "image_id": "sha256:1",
    "action": "deploy",
    "outcome": "committed",
    "at": 1.5,
    "seconds": 2,
    "who": None,
    "digest": "sha256:1",
}


FILES = ("tag", "revert", "log", "attempt", "slot", "plan")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tag", "live", "slot", "version", "id", "outcome", "at"]), inner, max_size=4)
    ),
    max_leaves=6,
).map(json.dumps)


TEXTS = st.one_of(
    st.binary(max_size=60),
    JSON.map(str.encode),
    st.just(b"[" * 3000),
    st.sampled_from(
        [
            b"export TAG='v1\n",
            b"TAG=\x1b[31m\n",
            b"TAG=a b\n",
            b"TAG=$(id)\n",
            b"TAG=" + b"x" * 9999,
            b"[1]",
            b"\xff\xfe",
            b'{"tag": "v2"}',
            b'{"version": "2"}',
            GOOD.encode(),
        ]
    ),
)


def host_in(folder):
    host = Simulated(folder / "root")
    for path in (host.tag, host.slot_file("a", "tag")):
        disk.write(path, GOOD)
    disk.write(host.log, releases.log_line(RECORD))
    disk.write(host.slot_file("a", "plan"), "[X]  shop.0001\n")
    return host


@pytest.fixture
def host(tmp_path):
    return host_in(tmp_path)


def paths(host):
    return dict(
        zip(
            FILES,
            (host.tag, host.revert, host.log, host.attempt, host.slot_file("b", "tag"), host.slot_file("a", "plan")),
            strict=False,
        )
    )


def odd(result):
    """Return where the facts break the schema of the deployer, or ""."""
    hints = validate.hints(validate.ANSWERS["facts"])
    result = json.loads(json.dumps(result))
    return "".join(validate.mismatch(result[key], shape, key) for key, (shape, _) in hints.items() if key in result)


@settings(max_examples=250)
@given(st.sampled_from(FILES), TEXTS)
def test_files_with_anything_in_them(host, name, content):
    path = paths(host)[name]
    before = disk.read_bytes(path)
    Path(path).write_bytes(content)
    try:
        with world(host):
            found = facts.collect(host, tag="v1")
        assert odd(found) == ""
        assert all(path in text or "releases.log" in text for text in found["problems"])
        assert name == "tag" or found["tag"] == {"tag": "v1", "image_id": "sha256:1"}
        assert name == "log" or len(found["records"]) == 1
        assert name == "plan" or found["plan"] == "[X]  shop.0001\n"
    finally:
        if before is None:
            os.unlink(path)
        else:
            Path(path).write_bytes(before)


@pytest.mark.parametrize(
    "name, text",
    [("tag", "export TAG='v1\n"), ("revert", 'TAG="'), ("slot", "TAG='v 1'"), ("attempt", "[1]"), ("attempt", "{}")],
)
def test_a_malformed_file_is_named(host, name, text):
    path = paths(host)[name]
    disk.write(path, text)
    with world(host):
        found = facts.collect(host, health=True)
    assert [readyz_of for readyz_of in found["problems"] if path in readyz_of] and len(found["records"]) == 1
    assert found["live"] == "a" and found["slots"]["a"]["release"] == {"tag": "v1", "image_id": "sha256:1"}


FAILED = "tasks failed since this release (see slipway errors): "


def readyz_of(task, celery):
    """Return what /readyz tells of a task and of Celery, each as JSON."""
    return (
        f'{{"release": "v1", "counts": {{"tasks": {{"{task} failed": [3, 1, 9e9, {{"v1": 8e9, "v0": 9e9}}], '
        '"old failed": [1, 1, 1, {"v1": -9e9}], "drained failed": [1, 1, 9e9, {"v0": 9e9}], '
        '"older failed": [1, 1, 9e9], '
        f'"begun failed": [0, 0, 0, {{}}], "x failed": [1, 1, "v0"]}}}}, "celery": {celery}}}'
    )


@pytest.mark.parametrize(
    "body, tasks",
    [
        (readyz_of("pay", '{"dead": 2}'), [FAILED + "pay", "2 tasks are dead: see slipway run manage dead_tasks"]),
        (readyz_of("\\u0001" * 150_000, '{"dead": null}'), [FAILED + "\1" * 1000]),
        *[
            (body, [])
            for body in (
                '{"release": "' + "\\u0001" * 150_000 + '"}',
                "\x01" * 900_000,
                "x\n" * 500_000,
                '{"counts": [7]}',
                '{"counts": {"tasks": {"x failed": 7}}}',
                '{"counts": {"tasks": {"x failed": [1, 1, 1, {"v1": "x"}]}}}',
                readyz_of("x", '{"dead": 1e999}'),
            )
        ],
    ],
)
def test_no_word_of_an_app_hides_its_host(host, monkeypatch, body, tasks):
    host.up = {"shop-web@a.service": ("v1", "sha256:1")}
    put(host.root + "/etc/nginx/shop-balancer/maintenance")
    monkeypatch.setattr(host, "ask", lambda *words, **options: (200, body))
    with world(host):
        found = facts.collect(host, health=True)
    assert odd(found) == "" and found["tasks"] == tasks
    assert found["notes"] == ["visitors get the maintenance page until slipway maintenance off"]
    assert len(json.dumps(found)) < 2**20 < LONGEST


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    "timer, state, began, wrong",
    [
        ("active", "inactive", 7200, ""),
        ("active", "not in release", 7200, ""),
        ("active", "active", 60, ""),
        ("active", "failed", 60, "exit-code"),
        ("active", "active", 7200, "overdue, as it still runs"),
        (
            "active",
            "active",
            0,
            "overdue or not is unknown: Failed to parse calendar specification 'x': Invalid argument",
        ),
        ("failed", "inactive", 60, "overdue, as its timer is failed"),
    ],
)
def test_what_is_wrong_with_a_command_by_the_clock(host, monkeypatch, timer, state, began, wrong):
    """systemd itself says if it was due again meanwhile. Timers of others are not asked."""
    at = time.strftime("%a %Y-%m-%d %H:%M:%S CET", time.gmtime(time.time() - began + 3600))
    since = str(int((time.monotonic() - began) * 1e6))
    hourly = time.strftime("*:%M:%S UTC", time.gmtime(time.time() - began - 1)) if began else "x"  # 1 s before it began
    waits = state == "not in release"
    unit = timer_of("shop", Process("digest", "x", False, "", schedule=hourly))
    put(host.root + unit.path, unit.content), put(host.root + unit.path.replace("digest", "backup"), "[Timer]\n")
    monkeypatch.setattr(
        host,
        "states",
        lambda *units: dict(
            zip(
                units,
                (
                    {
                        "ActiveState": "inactive" if waits else state,
                        "Result": "exit-code",
                        "StateChangeTimestamp": at,
                        "ActiveEnterTimestampMonotonic": since,
                        "ExecMainStatus": "127" if waits else "0",
                    },
                    {"ActiveState": timer, "LastTriggerUSec": at, "NextElapseUSecRealtime": at},
                ),
                strict=False,
            )
        ),
    )
    monkeypatch.setattr(host, "call", lambda *words, **options: Host.call(host, *words, **options))
    assert timers.schedules(host) == {"digest": hourly}
    told = timers.state(host, "digest", hourly)
    assert told == {"state": state, "restarts": None, "since": at, "health": wrong, "next": at}
    assert [hit["message"] for hit in errors.overdue_commands(host)] == ([wrong] if wrong.startswith("overdue") else [])


def test_a_report_leaves_out_our_own_probes(host, monkeypatch):
    lines = [f"line {number}" for number in range(60)] + ['- - [22/Nov/2026 14:24:00] "GET /readyz HTTP/1.0" 500'] * 60
    monkeypatch.setattr(
        host,
        "call",
        lambda *words, **options: subprocess.CompletedProcess(
            (), 0, "\n".join(lines[::-1] if "-r" in words else lines)
        ),
    )
    assert facts.last_lines(host, "shop-web-b", 1, 2) == {"log": lines[10:60]}


def test_a_log_of_a_gigabyte(host):
    with open(host.log, "r+b") as file:
        file.truncate(2**30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + releases.log_line(RECORD).encode())
    began = time.monotonic()
    tracemalloc.start()
    records, torn = releases.read_log(host)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(records) == 1 and torn <= 1
    assert peak < 8 * releases.LONGEST and time.monotonic() - began < 30
    releases.append(host, RECORD)
    assert os.path.getsize(host.log) < 2 * releases.LONGEST and slots.live(host) == "a"
