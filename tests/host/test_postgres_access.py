"""Who gets into the app's Postgres: a real one reads the shipped pg_hba.conf."""

import contextlib
import os

import pytest

from postgresql import POSTGRES_USER, Postgres, postgres_bin
from proc import output, run, wait_until
from services import folder_for
from slipway.deploy.server.services import ACCESS

ROLES = {"postgres": "SUPERUSER", "shop": ""}


class WithSocket(Postgres):
    """It also listens at a socket in its folder. Its roles have the password "right"."""

    def command(self):
        return [*super().command(), "-c", f"unix_socket_directories={self.folder}"]

    def psql(self, place, role, password, query="SELECT 1", more=""):
        """Return what psql prints. `place`: "network" or "socket"; `more`: words for the connection."""
        where = "127.0.0.1" if place == "network" else self.folder
        place = f"host={where} port={self.port} user={role} dbname=postgres {more}"
        done = run([self.bin / "psql", "-w", "-Atc", query, place], env={**os.environ, "PGPASSWORD": password})
        return done.stdout.strip() or done.stderr

    def let_in(self, host):
        """Take over the shipped file, with `host` in front of its line for the network."""
        (self.folder / "data/pg_hba.conf").write_text(ACCESS.format(host=host))
        asked = "socket", "postgres", "right", "SELECT pg_conf_load_time()"
        before = self.psql(*asked)
        self.psql(*asked[:3], "SELECT pg_reload_conf()")
        wait_until(lambda: self.psql(*asked) != before, what="it has read its files again")


@pytest.fixture(scope="module")
def server():
    with folder_for("postgres") as path:
        made = WithSocket(postgres_bin(), path)
        made.make()
        with contextlib.closing(made.stack):
            made.start()
            for role, rights in ROLES.items():
                query = f"CREATE ROLE {role} LOGIN PASSWORD 'right' {rights}"
                output(
                    [made.bin / "psql", "-h", path, "-p", made.port, "-U", POSTGRES_USER, "-d", "postgres", "-c", query]
                )
            yield made
            made.stop()


REJECTED, NO_ENTRY, WRONG = "pg_hba.conf rejects connection", "no pg_hba.conf entry", "password authentication failed"


@pytest.mark.parametrize(
    ("host", "place", "role", "answer"),
    [
        ("host", "network", "shop", "1"),
        ("host", "network", "postgres", REJECTED),
        ("hostssl", "network", "postgres", REJECTED),
        ("hostssl", "network", "shop", NO_ENTRY),  # psql has no TLS here
        ("host", "socket", "postgres", "1"),
        ("host", "socket", "shop", "1"),
    ],
)
def test_who_gets_in(server, host, place, role, answer):
    """The superuser by the socket alone, the app by both, over the network by TLS if that is on; nobody without a
    password."""
    server.let_in(host)
    said = server.psql(place, role, "right")
    assert said == answer or (answer != "1" and answer in said), said
    assert (WRONG if answer == "1" else answer) in server.psql(place, role, "wrong")


def test_nobody_replicates(server):
    server.let_in("host")
    for place in ("socket", "network"):
        assert NO_ENTRY in server.psql(place, "postgres", "right", "IDENTIFY_SYSTEM", "replication=true"), place
