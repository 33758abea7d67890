"""psycopg2 as the site uses it: all that it waits for has an end where the server has none, and nothing else does."""

import contextlib
import io
import os
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from ops.relay import Relay

from slipway.postgres import Connection, Cursor, Hangs, server
from postgresql import new_postgres

ROWS = "SELECT generate_series(1, 9)"


def connect(postgres, name):
    return psycopg2.connect(postgres.url(name), connection_factory=Connection, cursor_factory=Cursor)


def named(connection):
    """A cursor in the server, which it is asked for a few rows at a time."""
    cursor = connection.cursor("rows")
    cursor.itersize = 2
    cursor.execute(ROWS)
    return cursor


def begun(connection):
    connection.cursor().execute("SELECT 1")
    return connection


# What prepares, and what then waits for an answer.
WAITS = {
    "execute": (Connection.cursor, lambda cursor: cursor.execute("SELECT 1")),
    "executemany": (Connection.cursor, lambda cursor: cursor.executemany("SELECT %s", [[1], [2]])),
    "copy": (Connection.cursor, lambda cursor: cursor.copy_expert(f"COPY ({ROWS}) TO STDOUT", io.StringIO())),
    "next": (named, next),
    "fetch": (named, lambda cursor: cursor.fetchmany(2)),
    "close": (named, lambda cursor: cursor.close()),
    "commit": (begun, Connection.commit),
    "rollback": (begun, Connection.rollback),
}


@pytest.fixture
def name(postgres):
    return postgres.database(migrated=False)


def test_what_psycopg2_does(postgres, name):
    """Rows, many statements, copies, cursors in the server, an error: as ever."""
    connection = connect(postgres, name)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (n integer UNIQUE)")
    cursor.executemany("INSERT INTO t VALUES (%s)", [[1], [2]])
    cursor.copy_from(io.StringIO("3\n"), "t")
    connection.commit()
    with pytest.raises(psycopg2.IntegrityError):
        cursor.execute("INSERT INTO t VALUES (1)")
    connection.rollback()
    out = io.StringIO()
    cursor.copy_expert("COPY t TO STDOUT", out)
    assert out.getvalue().split() == ["1", "2", "3"]
    found = named(connection)
    assert [row[0] for row in found] == list(range(1, 10))
    found.close()
    connection.close()


def test_whatever_waits_is_cut_off(monkeypatch):
    """Of a server that is paused, each within seconds; then who asks has an error at once, and seconds after the
    server is back an answer. Here all that is waited for is shorter; test_hanging.py has the real seconds."""
    for short, seconds in (("SLOW", 0.4), ("ANSWER", 2), ("REST", 1)):
        monkeypatch.setattr(f"slipway.postgres.{short}", seconds)
    with new_postgres() as postgres:
        cut_off(postgres, postgres.database(migrated=False))


def cut_off(postgres, name):
    prepared = [(wait, prepare(connect(postgres, name))) for prepare, wait in WAITS.values()]

    def waited(what):
        wait, of = what
        start = time.monotonic()
        with pytest.raises(Hangs):
            wait(of)
        return time.monotonic() - start

    with postgres.paused():
        with ThreadPoolExecutor(len(WAITS)) as pool:
            seconds = dict(zip(WAITS, pool.map(waited, prepared)))
        assert max(seconds.values()) < 6, seconds
        start = time.monotonic()
        with pytest.raises(Hangs):
            connect(postgres, name)
        assert time.monotonic() - start < 1
    until = time.monotonic() + 5
    while True:
        try:
            return connect(postgres, name).close()
        except Hangs:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_connection_that_has_ended_is_no_answer(monkeypatch, postgres, name):
    """A server ends its connections and then answers nothing. After somebody has waited in vain one tries for all, even
    if a connection of before comes first."""
    monkeypatch.setattr("slipway.postgres.SLOW", 0.4)
    relay = Relay(postgres.port)
    dsn = f"{postgres.url(name, relay.port)}?connect_timeout=2"

    def connected(_=None):
        return psycopg2.connect(dsn, connection_factory=Connection, cursor_factory=Cursor)

    def waits(_):
        start = time.monotonic()
        with pytest.raises(Hangs):
            connected()
        return time.monotonic() - start > 1
    with ThreadPoolExecutor(4) as pool, contextlib.closing(relay):
        before = connected()
        relay.listening.clear()
        relay.hang_up()
        assert waits(0)
        with pytest.raises(psycopg2.OperationalError, match="closed"):
            before.cursor().execute("SELECT 1")
        assert sorted(pool.map(waits, range(4))) == [False, False, False, True]


def test_a_process_that_is_forked_watches_by_itself():
    """Where gunicorn's master has connected before, as with preload_app: a thread is in one process alone."""
    before = server("host=forked")
    child = os.fork()
    if not child:
        os._exit(server("host=forked") is before)
    assert os.waitpid(child, 0)[1] == 0
