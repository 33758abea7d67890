"""Tests of tracebacks that processes print, as an agent finds them in the journal, a line in each entry."""

import os
import re

import pytest

from deployer.failures import SINCE, failed, id_of
from deployer.simulated import Simulated
from deployer.test_logs import entry, record
from proc import put, python
from slipway.deploy.agent import errors, groups, timers, tracebacks
from slipway.logs import logging

LIBRARY = "/usr/lib/python3/dist-packages/django/core/management/base.py"
SYNC = [
    "Traceback (most recent call last):",
    '  File "/app/manage.py", line 21, in <module>',
    "    main()",
    f'  File "{LIBRARY}", line 400, in run_from_argv',
    '  File "/app/orders/views.py", line 31, in detail',
    "    order[name]",
    "    ~~~~~^^^^^^",
    f'  File "{LIBRARY}", line 7, in helper',
    "KeyError: 'a'",
]
CAUSE = ["Traceback (most recent call last):", '  File "/app/x.py", line 1, in x', "ValueError: of the cause", ""]


def printed(lines, name="shop-digest", at=SINCE + 1):
    """Return what journalctl finds of these lines."""
    return [entry(line, at, name) for line in lines if re.search("|".join(errors.PATTERNS), line)]


@pytest.fixture
def found(tmp_path, monkeypatch):
    """found(entries): the groups of errors of a host, which has a command by the clock, with these in its journal."""
    monkeypatch.setattr(timers, "schedules", lambda host: {"digest": "daily"})
    host = Simulated(tmp_path / "root")

    def groups_of(entries):
        monkeypatch.setattr(errors, "journal_entries", lambda *_: iter(entries))
        by_id = {}
        groups.add_errors(by_id, errors.logged_errors(host, SINCE, None, 1), SINCE, "v2", [], "")
        return [*by_id.values()]

    return groups_of


def told(made):
    return [(group["title"], group["place"], group["message"][:40], group["count"], group["roles"]) for group in made]


KEY_ERROR = ("KeyError", "orders/views.py:31 detail", "'a'", 1, ["digest"])


@pytest.mark.parametrize(
    "lines, expected",
    [
        (SYNC, [KEY_ERROR]),
        ([SYNC[0], "KeyError: of a log", *SYNC[1:]], [KEY_ERROR]),
        ([*SYNC[:-1], "    raise Lost() from error", SYNC[-1]], [KEY_ERROR]),
        (["12:31 [info] begun", *SYNC, "KeyError: of a log", "12:31 [info] ended"], [KEY_ERROR]),
        ([*CAUSE, "During handling of the above exception, another exception occurred:", "", *SYNC], [KEY_ERROR]),
        ([*CAUSE, "The above exception was the direct cause of the following exception:", "", *SYNC], [KEY_ERROR]),
        ([*CAUSE, *SYNC], [("ValueError", "x.py:1 x", "of the cause", 1, ["digest"]), KEY_ERROR]),
        (
            [*SYNC[:-1], "orders.models.Order.DoesNotExist: no\nOrder"],
            [("DoesNotExist", *KEY_ERROR[1:2], "no", *KEY_ERROR[3:])],
        ),
        ([*SYNC[:-1], "KeyboardInterrupt"], [("KeyboardInterrupt", KEY_ERROR[1], "", *KEY_ERROR[3:])]),
        ([*SYNC[:-1], "socket.timeout: timed out"], [("timeout", KEY_ERROR[1], "timed out", *KEY_ERROR[3:])]),
        (
            [SYNC[0], '  File "/app/x.py", line 3', "    x y", "SyntaxError: invalid syntax"],
            [("SyntaxError", "x.py:3", "invalid syntax", 1, ["digest"])],
        ),
        (SYNC[:4], [("digest", "", errors.OTHER_FORM[:40], 1, ["digest"])]),
        ([*SYNC[:4], *SYNC], [KEY_ERROR, ("digest", "", errors.OTHER_FORM[:40], 1, ["digest"])]),
    ],
)
def test_a_traceback_that_a_process_prints_is_a_group(found, lines, expected):
    """With file and line, as of a record in Slipway's form; of a chain the last exception. Of one without an end it is
    known only that it is there."""
    assert told(found(printed(lines))) == expected


def test_what_python_prints_is_read(found, tmp_path):
    put(tmp_path / "sync.py", "class Lost(Exception): pass\ndef sync(n):\n    sync(n - 1) if n else 1 / 0\n")
    code = (
        "import sync\ntry:\n    sync.sync(9)\nexcept ArithmeticError as error:\n    raise sync.Lost('x: y') from error"
    )
    done = python("-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    [(title, place, message, *_)] = told(found(printed(done.stderr.splitlines())))
    assert (title, place, message) == ("Lost", "<string>:5 <module>", "x: y")
    done = python("-c", "import sync; sync.sync(99)", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    [(title, place, *_)] = told(found(printed(done.stderr.splitlines())))
    assert (title, place) == ("ZeroDivisionError", f"{tmp_path}/sync.py:3 sync")


@pytest.mark.parametrize("order", [1, -1])
def test_an_error_in_both_forms_counts_once(found, order):
    """A team's own handler prints what is told in Slipway's form, too. The latter knows the request."""
    both = [
        [entry(record(**failed(), request_id="5f0c7d1e", release="v2"), SINCE + 1, "shop-web-a")],
        printed(SYNC, "shop-web-a"),
    ][::order]
    [group] = found([*both[0], *both[1]] * 3 + printed(SYNC, "shop-web-a") + printed(SYNC))
    assert (group["count"], group["roles"], group["id"]) == (5, ["digest", "web"], id_of(**failed()))
    assert "5f0c7d1e" in str(group["latest"])


def test_the_projects_files_are_told_from_others_as_in_records():
    assert tracebacks.FOREIGN.pattern == logging.FOREIGN.pattern
