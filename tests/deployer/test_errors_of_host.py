"""Tests of how a host's agent finds errors in its journal, with a stand-in for journalctl."""

import contextlib
import copy
import json
import os
import re
import time

import pytest

from deployer.failures import SINCE, failed, id_of
from deployer.simulated import Simulated
from deployer.test_logs import entry, record
from proc import executable, put
from slipway.deploy.agent import disk, releases, takeback, timers
from slipway.deploy.agent import errors as agent_errors
from slipway.deploy.agent.errors import EXITED, RESTARTS
from slipway.deploy.screen import text_tables


@pytest.fixture
def host(tmp_path, stub, monkeypatch):
    """host(new, old): a host with v2 live, whose journal has these entries since the window began, and before it."""
    monkeypatch.setattr(agent_errors, "ENVIRONMENT", {"PATH": os.environ["PATH"]})
    made = Simulated(tmp_path / "root")
    disk.write(made.tag, "export TAG=v2\nexport IMAGE_ID=1\n")
    disk.write(
        made.log,
        "".join(
            releases.log_line(
                {"tag": tag, "image_id": "1", "action": action, "outcome": "committed", "at": at, "seconds": 10}
            )
            for tag, at, action in (
                ("v0", 5, "deploy"),
                ("v1", 700, "deploy"),
                ("v2", SINCE + 10, "deploy"),
                ("v2", SINCE + 20, "restart"),
            )
        ),
    )

    def prints(new, old=(), script='case "$*" in *--until*) cat "$0.old" ;; *) cat "$0.new" ;; esac'):
        for name, lines in (("new", new), ("old", old)):
            put(stub / f"journalctl.{name}", "".join(f"{json.dumps(line)}\n" for line in lines))
        executable(stub / "journalctl", f'#!/bin/sh\nprintf "%s\\n" "$*" >>"$0.asked"\n{script}\n')
        return made

    return prints


def systemd(kind, at, role="worker@a", **extra):
    return {**entry("x", SINCE + at, "systemd"), "MESSAGE_ID": kind, "UNIT": f"shop-{role}.service", **extra}


def test_an_agent_finds_errors(host, stub, monkeypatch):
    """Of processes, of nginx, and of what systemd says; not of visitors' texts in nginx's log, nor of a request that
    another host has answered. What the release before had, too, is not new."""
    monkeypatch.setattr(timers, "schedules", lambda host: {"digest": "daily"})
    monkeypatch.setattr(time, "time", lambda: SINCE + 9)
    broken, visit = record(**failed(), release="v2"), {"status": 503, "app_status": "502, 502"}
    made = host(
        [
            entry(broken, SINCE + 1),
            entry(broken.replace("31", "32"), SINCE + 2, "shop-web-b"),
            entry(record(level="INFO", job={"level": "error"}), SINCE),
            entry(broken, SINCE, "other-web-a"),
            entry(json.dumps(visit), SINCE, "shop_nginx"),
            entry('{"app_status":"500"}', SINCE, "shop_nginx"),
            *(
                entry(text, SINCE + 5)
                for text in (
                    "\x1b[2m2026\x1b[0m [\x1b[31merror    \x1b[0m] sold",
                    "Traceback (most recent call last):",
                    '{"event": "sold", "level": "error"}',
                    "12:31 [info] sold",
                    '{"event": "x", "level": "info"}',
                )
            ),
            *(
                entry(text, SINCE, "shop_nginx")
                for text in (
                    '{"host_status": "502, 200"}',
                    '{"level": "ERROR", "message": "a visitor',
                    record(release="v2"),
                )
            ),
            *(systemd(RESTARTS, 2, role) for role in ("x", "beat")),
            systemd(EXITED, 3, EXIT_STATUS="137"),
            systemd(RESTARTS, 4),
            systemd(EXITED, 5, EXIT_STATUS="1"),
            systemd(EXITED, 6, "digest", EXIT_STATUS="37"),
            systemd(RESTARTS, 6, "digest"),
            entry([*record(message="big " * 9999, release="v2")[:9000].encode()], SINCE + 7, "shop-worker-a"),
        ],
        [
            entry(record(**failed(line="7"), release="v1"), SINCE - 5),
            entry(record(message="big " * 99, release="v1x"), SINCE - 5),
        ],
    )  # it was taken back
    put(made.etc, "IMAGE=shop\nMEMORY=400m\n")
    told = {
        (group["title"], group["message"][:60]): (group["count"], group["seen_before"])
        for _ in range(2)
        for group in agent_errors.find(copy.copy(made))["groups"]
    }
    assert told == {
        ("KeyError", "'a'"): (2, True),
        ("nginx", "502 Bad Gateway"): (1, False),
        ("worker", "ended by signal 9, perhaps at its memory limit of 400 MB"): (1, False),
        ("beat", "ended with exit code 0"): (1, False),
        ("digest", "ended with exit code 37"): (1, False),
        ("digest", "overdue, as its timer is None"): (1, False),
        ("shop", ("big " * 15)[:60]): (1, False),
        ("web", agent_errors.OTHER_FORM[:60]): (3, False),
    }
    asked = (stub / "journalctl.asked").read_text().splitlines()
    assert ["--since=@1795680000.0" in asked[0], "--since=@700.0" in asked[1], len(asked)] == [True, True, 3]
    assert " --grep=" + "|".join(agent_errors.PATTERNS) in asked[0]
    assert "overdue" not in str(agent_errors.find(made, tag="v2")), "a deploy is not to blame"
    os.remove(made.log)
    assert not any(group["seen_before"] for group in agent_errors.find(made, SINCE)["groups"]), "as a balancer"


NGINX = '{"time":"2026-11-28T22:40:00+00:00","path":"/a_b/","status":503,"app_seconds":"0.1, 0.2","app_status":"%s"}'


@pytest.mark.parametrize(
    "line, fits",
    [
        (record(**failed()), True),
        (record(level="INFO", message="level: ERROR", job={"level": "error"}), False),
        (NGINX % "200, 502", True),
        (NGINX % "502, 200", False),
        (NGINX.replace("app_status", "host_status") % "504", True),
        ('{"time": "x", "level": "critical"}', True),
        ('{"event": "sold", "level":"ERROR"}', True),
        ('{"event": "sold", "level": "info"}', False),
        ("shop: " + record(**failed()), True),
        ("12:31 [error] sold", True),
        ("12:31 [info] sold without errors", False),
        ("shop-web@a.service: Main process exited, code=exited, status=1/FAILURE", True),
        ("2026-11-28 22:40:00 UTC [7] FATAL:  the role shop is missing", True),
        ("2026-11-28 22:40:00 UTC [7] LOG:  checkpoint complete", False),
        ('  File "/app/orders/views.py", line 31, in detail', True),
        ("shop.orders.Order.DoesNotExist", True),
        ("KeyError: 'a'", True),
        ("INFO: sold", False),
        ("sold: 3", False),
        ("    return order[name]", False),
    ],
)
def test_what_a_search_finds(line, fits):
    """Each pattern begins with ^, so that journalctl does not try it at each character of a line."""
    assert all(pattern.startswith("^") for pattern in agent_errors.PATTERNS)
    assert bool(re.search("|".join(agent_errors.PATTERNS), line)) == fits


def test_from_when_errors_count(host, stub):
    """An agent asks what is new only if there is an error, on this host or another one. After a rollback, both releases
    before count, from when they first were live. A balancer knows no release: it is told a time."""
    made = host([])
    for words, since in (({}, SINCE), ({"tag": "v1"}, 690), ({"since": 9.0}, 9), ({"tag": "v9"}, None)):
        assert agent_errors.find(made, **words) == {"groups": [], "seen_before": [], "since": since}
    assert agent_errors.find(made, -60)["since"] == pytest.approx(time.time() - 60, abs=30)
    asked = (stub / "journalctl.asked").read_text()
    assert asked.count("\n") == 4 and " --since=@690.000000 --until=@1795680010.000000 " in asked
    agent_errors.find(made, since=SINCE + 20, tag="v1")
    assert "--until" not in (stub / "journalctl.asked").read_text().splitlines()[-1], "a rollback to v1, taken back"
    for end in (90, 290):
        releases.append(
            made,
            {
                "tag": "v3",
                "image_id": "1",
                "action": "deploy",
                "outcome": "taken back",
                "at": SINCE + end,
                "seconds": 9,
            },
        )
        assert agent_errors.find(made, tag="v3")["since"] == SINCE + end - 9, "of a release that was taken back, too"
        assert f"--until=@{SINCE + end:.6f}" in (stub / "journalctl.asked").read_text().splitlines()[-1]
    made, old = host([], [entry(record(**failed(), release="v1"))]), id_of(**failed())
    assert agent_errors.find(made, also=[old, "0" * 8])["seen_before"] == [old]
    releases.append(
        made,
        {"tag": "v1", "image_id": "1", "action": "rollback", "outcome": "committed", "at": SINCE + 500, "seconds": 10},
    )
    assert agent_errors.release_times(made, "v1") == (700, SINCE + 490, None, {"v1", "v2"})


def test_a_journal_of_nonsense(host):
    """Malformed lines cost nothing else; a search that does not end is ended."""
    texts = ('{"level": "ERROR"', "\x1b[2J", "[" * 9000, None, [255], '{"level": "ERROR"}')
    made = host([entry(text, SINCE + 1) for text in texts] * 800, script='printf "{\\n[1]\\n\\0\\377\\n"; cat "$0.new"')
    assert [group["count"] for group in agent_errors.find(made, since=SINCE + 1)["groups"]] == [1600]
    with pytest.raises(agent_errors.Problem, match=r"^the journal could not be searched within 0.1 s"):
        agent_errors.find(host([], script="exec sleep 60"), seconds=0.2)
    slow = 'case "$*" in *--until*) exec sleep 60 ;; *) cat "$0.new" ;; esac'
    made = host([entry(record(release="v2"), SINCE)], script=slow)
    assert not agent_errors.find(made, seconds=2)["groups"][0]["seen_before"], (
        "what cannot be searched in time counts as new"
    )


@pytest.mark.parametrize(
    "script, message",
    [
        ("exit 1", ""),
        ('cat "$0.new"; kill -9 $$', "exit code (137|-9)"),
        ("exit 127", "exit code 127"),
        ("echo 'Failed to open it: No room' >&2; exit 1", "Failed to open it: No room$"),
        ("echo 'Journal file /x.journal~ is truncated, ignoring file.' >&2; exit 1", ""),
    ],
)
def test_a_journal_that_cannot_be_searched_is_no_good_news(host, script, message):
    """journalctl exits with 1, and says nothing, if no entry fits. It warns, for months, of a file that a power cut has
    spoiled: that hides no other file's entries."""
    made = host([entry(record(release="v2"), SINCE)], script=script)
    with (
        pytest.raises(agent_errors.Problem, match="^the journal could not be searched: journalctl: " + message)
        if message
        else contextlib.nullcontext()
    ):
        assert not agent_errors.find(made)["groups"]


def test_a_takeback_by_max_errors_names_the_new_errors(host, stub, monkeypatch):
    """Only then, after all else, and in seconds: a search may be slow. One that fails disturbs no takeback, which says
    so."""
    executable(stub / "timeout", '#!/bin/sh\necho $1 >>"$0.asked"\nexec /usr/bin/timeout "$@"\n')
    made = host([entry(record(**failed(), release="v3"), time.time() + 9)] * 12)
    causes = [f"web1: watch: of {number} answers to visitors 12 were errors" for number in (40, 50)]
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    for cause in ("", "web1: migrate:\n exit 1", *causes):
        takeback.note_failure(
            made, {"id": cause, "tag": "v3", "action": "deploy", "started": time.monotonic(), "cause": cause}
        )
        if cause == causes[0]:
            monkeypatch.setattr(agent_errors, "ENVIRONMENT", {"PATH": "/none"})
    table = text_tables.releases_table({name: {"records": releases.read_log(made)[0]} for name in ("web1", "web2")})
    assert [line for line in table.split("\n") if line.startswith(" ")] == [
        "    the deployer fell silent",
        "    web1: migrate: exit 1",
        f"    {causes[0]}; 1 new error: KeyError orders/views.py:31 detail, 12 times",
        f"    {causes[1]}; which errors is unknown: [Errno 2] No such file or directory: 'timeout'",
    ]
    assert {*(stub / "timeout.asked").read_text().split()} == {"2.5"}
