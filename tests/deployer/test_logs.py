"""`slipway logs`: times, filters, lines for people, and the command on hosts with a stand-in for journalctl."""

import argparse
import asyncio
import json
import re
import sys
from datetime import datetime
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployer.test_hostile import CONTROL
from proc import executable, put
from slipway.deploy import __main__
from slipway.deploy.commands import logs
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.log import lines, search
from slipway.deploy.ssh import validate


@pytest.mark.parametrize(
    "text, time",
    [
        *((text, (26, 8, 30)) for text in ("-1h", "1h", "1 hour ago", "60 min")),
        ("2 weeks", (12, 9, 30)),
        ("14:05", (26, 14, 5)),
        ("yesterday", (25,)),
        ("yesterday 14:05", (25, 14, 5)),
        ("2026-11-25", (25,)),
        ("2026-11-25 14:05:09", (25, 14, 5, 9)),
        *((odd, None) for odd in ("1 month ago", "-h", "25:00", "", "9" * 30)),
    ],
)
def test_a_time(monkeypatch, text, time):
    monkeypatch.setattr(search, "datetime", mock.Mock(wraps=datetime, now=lambda: datetime(2026, 11, 26, 9, 30)))
    if time is None:
        with pytest.raises(argparse.ArgumentTypeError, match="is no time: give -1h"):
            search.parse_moment(text)
    else:
        assert search.parse_moment(text) == datetime(2026, 11, *time).timestamp()


def asked(*words):
    return __main__.parse(["logs", *words])


@pytest.mark.parametrize(
    "words, message",
    [
        (["--since", "1970-01-02", "--until", "-1m"], r" --since=@\d{5,6}\.0+ --until=@\d{10}\."),
        (["--since", "-999999w"], r" --since=@0\.0+ "),
        (["-f", "--since", "-1h"], r" -f -n all -t "),
        (["-n", "7"], " --reverse -n 8 "),
        (["-f", "-n", "0"], " -f -n 0 "),
        (["--role", "nginx", "--level", "error"], " --priority=3 -t shop-web-a$"),
    ],
)
def test_what_journalctl_is_asked(words, message):
    assert re.search(message, " ".join(search.journalctl(["shop-web-a"], asked(*words))))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--since", "2999-01-01"], "argument --since: '2999-01-01' is still to come: "),
        (["--grep", "a)|(b"], r"argument --grep: 'a)|(b' has a ) too many: for the character write \)"),
        *((["--grep", wrong], f"has a {wrong[-1]} too many") for wrong in ("(a|(b)(", "[a] [", "a\\")),
    ],
)
def test_what_journalctl_is_not_asked(capsys, words, message):
    """A time in which nothing can have happened; an expression that would end the group that it is put into."""
    with pytest.raises(SystemExit):
        asked(*words)
    assert message in capsys.readouterr().err


def record(**extra):
    """Return a line as slipway.logs writes it, which slipway/tests/test_logging.py shows."""
    return json.dumps(
        {
            "time": "2026-11-26T08:00:00.5+00:00",
            "level": "ERROR",
            "logger": "shop",
            "message": "Oh",
            "request_id": "5f0c7d1e",
            "release": "build-4.2",
            **extra,
        }
    )


@pytest.mark.parametrize(
    "words, fits",
    [
        *(
            (words, True)
            for words in (
                "--level error",
                "--release build-4.2",
                "--request 5f0c7d1e",
                "--grep oh|no",
                "--grep é$|h.",
                '--grep "café',
                "--grep caf[aé]",
                "--grep über",
                "--grep [A-Z](É)",
                r"--grep ()(\(|[)(]|oh)",
                "--request=5f0c7d1e",
                '--grep "café',
                r"--grep \"caf",
                r'--grep [^"]\\?"caf',
                "--level warning --grep oh --request 5f0c7d1e --release build-4.2",
            )
        ),
        *(
            (words, False)
            for words in (
                "--level critical",
                "--release build-4x2",
                "--release build-4",
                "--grep OH",
                "--level warning --grep oh --request 5f0",
            )
        ),
    ],
)
def test_a_line_has_all_that_is_asked_for(words, fits):
    """A visitor's text that looks like a field is not one."""
    found = next(word for word in search.journalctl([], asked(*words.split())) if word.startswith("--grep="))
    pattern = re.compile(found.removeprefix("--grep="))
    for ascii in True, False:  # nginx writes UTF-8
        line = json.dumps(json.loads(record(user="\xdcBER", page="X\xc9", path='/"caf\xe9')), ensure_ascii=ascii)
        assert bool(pattern.match(line)) is fits
    forged = record(message=" ".join(json.loads(record())) + record(), level="INFO", release="x", request_id="y")
    assert not pattern.match(forged) or words.startswith("--grep")


def test_a_request_s_id_may_look_like_an_option():
    for words in (["--request", "-5f0c7d1e"], ["--request=-5f0c7d1e"]):
        assert asked(*words).request == "-5f0c7d1e"


def entry(message, at=1795680000.25, name="shop-web-a"):
    return {"MESSAGE": message, "__REALTIME_TIMESTAMP": str(int(at * 1e6)), "SYSLOG_IDENTIFIER": name}


def for_people(message):
    return lines.format_entry("web1", "shop", validate.parse(json.dumps(entry(message)).encode()))


def test_a_line_for_people():
    time = datetime.fromtimestamp(1795680000.25).strftime("%m-%d %H:%M:%S.250")
    begin = f"{time} web1 web-a"
    assert for_people("[" * 9000) == f"{begin} {'[' * 9000}"
    assert (
        for_people("plain") == f"{begin} plain"
        and for_people([112, 255]) == f"{begin} p\ufffd"
        and for_people(None) == f"{begin} "
    )
    assert for_people(record(exception="Traceback\n  File x\nKeyError")) == (
        f"{begin} ERROR shop: Oh\n    Traceback\n      File x\n    KeyError"
    )


@example('{"a":' * 900 + "1" + "}" * 900)
@example(record(message="\x1b[2J\nweb2 forged", exception="\x9b31m\r"))
@example('{"level": {"a": "\x1b"}}')
@given(
    st.one_of(
        st.text(),
        st.lists(st.integers(0, 255)),
        st.none(),
        st.integers(),
        st.lists(st.text()),
        st.builds(record, level=st.text(), message=st.text(), exception=st.text(), logger=st.text()),
    )
)
def test_a_hostile_line_is_only_text(message):
    """No byte of a log acts on the terminal, or looks like a line of another host."""
    first, *more = for_people(message).split("\n")
    assert " web1 web-a " in first and all(line.startswith("    ") for line in more)
    assert not CONTROL.search("".join([first, *more]))


@pytest.fixture
def journal(stub):
    """journal(*lines): let each host's journalctl print these lines, then stderr and the exit code."""

    def prints(*result, err="", code=0):
        put(stub / "printed", "".join(f"{line}\n" for line in result))
        executable(
            stub / "journalctl",
            f"#!/bin/sh\nn=9999\nwhile [ $# -gt 0 ]; do [ $1 != -n ] || n=$2; shift; done\n"
            f"head -n $n {stub}/printed; printf '{err}' >&2; exit {code}\n",
        )

    return prints


def run(fleet, *words):
    asyncio.run(logs.handle(fleet, asked(*words)))


def test_lines_of_all_hosts_in_the_order_of_time(fleet, journal, capfd):
    journal(*(json.dumps(entry(f"line {at}", at)) for at in (3, 2, 1)))
    run(fleet, "--hosts", "web1,web2", "-n", "2")
    out, err = capfd.readouterr()
    assert [line.split()[2:] for line in out.splitlines()] == [
        [host, "web-a", "line", at] for at in "23" for host in ("web1", "web2")
    ]
    assert err == "older lines of web1, web2 are left out: add -n 20 or --since -1h\n"
    for words, order in ((["-n", "3"], "123"), (["--since", "yesterday"], "321"), (["-f"], "321")):
        run(fleet, "--hosts", "web1", "--json", *words)
        assert capfd.readouterr() == ("".join(f"line {at}\n" for at in order), "")


@pytest.mark.parametrize(
    "printed, words, err, message",
    [
        ((), [], "", "no logs from web1"),
        ((), ["--grep", "x"], r"bad\033[2J", "no logs from"),
        (("not JSON",), [], "", "on web1: sends an invalid"),
    ],
)
def test_a_journal_that_fails(fleet, journal, capfd, printed, words, err, message):
    journal(*printed, err=err, code=1)
    with pytest.raises(DeployError, match=message):
        run(fleet, "--hosts", "web1", *words)
    assert capfd.readouterr() == ("", r"web1 | bad\x1b[2J" + "\n" if err else "")


def test_nginx_s_errors_are_where_it_runs(fleet, journal, capfd, monkeypatch):
    """On web hosts and balancers. Colours are for terminals."""
    journal(json.dumps(entry(record(logger="nginx"), name="shop_nginx")))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for no, level in (("", "\033[31mERROR\033[m"), ("1", "ERROR")):
        monkeypatch.setenv("NO_COLOR", no)
        run(fleet, "--role", "nginx")
        assert [line.split()[2:] for line in capfd.readouterr().out.splitlines()] == [
            [host, "nginx", level, "nginx:", "Oh"] for host in ("web1", "web2", "front")
        ]
    journal(code=1)
    run(fleet, "--role", "nginx", "--grep", "x")  # no line fits
    with pytest.raises(Refused, match=r"^there is no role 'mail'; the roles are: nginx, web, worker, beat$"):
        run(fleet, "--role", "mail")
    with pytest.raises(Refused, match=r"^--since is later than --until: "):
        run(fleet, "--since", "-1h", "--until", "-2h")
