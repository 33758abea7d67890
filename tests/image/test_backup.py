"""docker-backup with a real Postgres, pgBackRest and restic: what comes back, from which branch, and what is said."""

import json
import tempfile
from unittest import mock

import pytest

from engine import docker
from image import backup_server
from image.backup_server import PASSWORD, Server
from proc import run, wait_until
from slipway.deploy.backup import configuration, drill, pgbackrest, points, postgres, restore, set_up
from slipway.deploy.backup.copy import Copy
from slipway.deploy.backup.shell import Problem

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("restic")]


@pytest.fixture(scope="session")
def image():
    return backup_server.build()


@pytest.fixture
def server(monkeypatch, image):
    """A server with a base backup."""
    made = Server(tempfile.mkdtemp(prefix="bk-", dir="/tmp"), monkeypatch, image)
    try:
        made.begin()
        yield made
    finally:
        made.clean()


def test_two_restores_in_a_row(server):
    """The second goes less far back, which is the usual case. "latest" then is the living branch, to the last row, and
    a moment before each swap is of the branch that lived then."""
    server.add(1)
    first = server.now()
    server.add(2)
    second = server.now()
    server.add(3)
    server.restore(first)
    assert server.rows() == [1]
    server.add(10)
    on_second_branch = server.now()
    server.add(11)
    server.restore(second)
    assert server.rows() == [1, 2]
    server.add(20)
    server.restore("latest")
    assert server.rows() == [1, 2, 20]
    assert server.beside(on_second_branch)["timeline"] == 2
    assert Copy(server.settings, "restored").sql("SELECT id FROM rows ORDER BY id", server.app) == "1\n10"


def test_the_newest_changes_come_back(server):
    server.add(1, 2)
    assert server.beside("latest")["rows"] == 2
    server.add(3)
    restore.tell(server.settings, server.repository)
    assert restore.lost(server.settings, restore.read(server.settings)) >= 1


def test_a_missing_segment_is_no_later_end(server):
    """Neither for a time nor for the newest second: it fails, and says how far it came."""
    server.add(1)
    server.ship()
    server.add(2)
    server.ship()
    at = server.now()
    server.add(3)
    server.ship()
    [segment] = [path for path in server.archived() if path.name.startswith(segment_of(server, at))][:1]
    segment.unlink()
    with pytest.raises(Problem, match=r"that moment is not reached.*the restore came to 20"):
        server.beside(at)
    server.stop()
    docker("volume", "rm", server.settings.service)  # which has that segment, too
    with pytest.raises(Problem, match=r"the newest second is not reached.*the restore came to 20"):
        server.beside("latest")


def test_a_base_backup_without_its_own_wal_is_none(server):
    """The one before takes its place."""
    server.add(1)
    older = pgbackrest.look(server.settings, "test").backups
    server.base()
    server.add(2)
    server.ship()
    newer = pgbackrest.look(server.settings, "test").backups[-1]
    [own] = [path for path in server.archived() if path.name.startswith(newer.first)]
    own.unlink()
    assert pgbackrest.look(server.settings, "test").backups == older
    with pytest.raises(Problem, match="WAL is missing or damaged"):
        server.beside("latest")


def segment_of(server, at):
    """Return the segment that was sent last before a time."""
    return sorted(path.name for path in server.archived() if path.stat().st_mtime <= at)[-1][:24]


def test_a_damaged_segment_is_no_later_end(server):
    """Also if its length is right: the drill and verify notice it, too."""
    server.add(1)
    server.ship()
    server.add(2)
    server.ship()
    at = server.now()
    server.add(3)
    server.ship()
    [path] = [path for path in server.archived() if path.name.startswith(segment_of(server, at))]
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"XXXXXXXX" + content[208:])
    with pytest.raises(Problem, match="that moment is not reached"):
        server.beside(at)
    with pytest.raises(Problem):
        drill.run(server.fresh(), server.repository)
    assert server.state("drill")["problem"]


def test_the_dead_database_comes_back_with_what_it_had_not_sent(server):
    """To the last row that was flushed."""
    server.add(1)
    server.ship()
    server.add(2, 3)
    docker("kill", server.settings.service)
    docker("rm", "-f", server.settings.service)
    made = server.beside("latest")
    assert made["rows"] == 3
    server.swap()
    assert server.rows() == [1, 2, 3]
    server.add(4)
    server.ship()


def test_the_volume_is_lost(server):
    """Up to the last second that was sent."""
    server.add(1)
    server.ship()
    server.add(2)
    server.stop()
    docker("volume", "rm", server.settings.service)
    assert server.beside("latest")["rows"] == 1
    server.swap()
    assert server.rows() == [1]


def test_a_drill(server, capsys):
    server.add(1, 2)
    drill.run(server.fresh(), server.repository)
    assert server.state("drill")["rows"] == 2 and not server.state("drill")["problem"]
    assert not docker("ps", "--all", "--quiet", "--filter", f"name={server.app}-drill").stdout


def test_a_drill_while_the_database_is_dead(server, capsys):
    """It restores what the place has, and says that there was nothing to compare with."""
    server.add(1, 2)
    server.ship()
    server.stop()
    drill.run(server.fresh(), server.repository, "shop 0001_initial")
    assert server.state("drill")["rows"] == 2 and not server.state("drill")["problem"]
    assert "the living database does not answer: not compared" in capsys.readouterr().out


def test_a_release_s_moments(server):
    """Just before it migrated, and its commit; also on a branch that was left. Unlogged tables come back empty."""
    server.sql("CREATE UNLOGGED TABLE notes (id int); INSERT INTO notes VALUES (1)")
    server.add(1)
    points.add(server.settings, server.repository, "before", "build-1")
    server.add(2)
    points.add(server.settings, server.repository, "commit", "build-1")
    server.add(3)
    made = server.beside("before:build-1")
    assert (made["rows"], made["unlogged"]) == (1, 1)
    server.swap()
    assert server.rows() == [1] and server.sql("SELECT count(*) FROM notes") == "0"
    server.add(10)
    assert server.beside("build-1")["timeline"] == 1
    server.swap()
    assert server.rows() == [1, 2]


def test_base_backups_of_another_branch(server):
    """After a swap the next one is of the new branch, and each restore begins with one of its own."""
    server.add(1)
    at = server.now()
    server.add(2)
    server.base()
    server.restore(at)
    server.add(10)
    server.base()
    server.add(11)
    assert server.beside("latest")["rows"] == 3
    server.swap()
    assert server.rows() == [1, 10, 11]
    assert server.state("base")["label"].endswith("I"), "only what has changed was sent"


def test_what_the_place_has_lost_is_told_until_a_new_base_backup(server):
    server.add(1)
    server.ship()
    until = server.state("wal")["until"]
    server.add(2)
    name = postgres.sql(server.settings, "SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(lambda: server.archived()[-1].name.startswith(name), 60, "the segment is there")
    server.archived()[-1].unlink()
    with pytest.raises(Problem, match=r"no second after .* can be restored"):
        server.ship()
    assert server.began_base == 2 and server.state("wal")["gaps"] == [[until, None]]
    server.base()
    assert server.state("wal")["since"] == 0 and server.state("wal")["gaps"][0][1] > until
    assert server.beside("latest")["rows"] == 2


def test_a_place_that_is_away(server):
    """One line says so, the database serves, and nothing is made in its stead."""
    server.move_place(True)
    with pytest.raises(Problem, match="database is missing: mount its disk"):
        server.ship()
    server.add(1)
    with pytest.raises(Problem):
        set_up.prepare(server.fresh(), server.repository)
    assert not server.place.exists()
    server.move_place(False)
    server.ship()
    assert server.beside("latest")["rows"] == 1


def test_nobody_but_the_superuser_reads_the_key(server):
    """Not the app's role: neither as a file nor by a program. Neither the environment nor the command line has it."""
    server.sql("CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; CREATE TABLE file (line text)")
    server.sql("GRANT ALL ON file TO app")
    assert PASSWORD in server.sql("SELECT pg_read_file('/etc/pgbackrest/pgbackrest.conf')")
    for query in (
        "SELECT pg_read_file('/etc/pgbackrest/pgbackrest.conf')",
        "COPY file FROM '/etc/pgbackrest/pgbackrest.conf'",
        "COPY file FROM PROGRAM 'cat /etc/pgbackrest/pgbackrest.conf'",
    ):
        with pytest.raises(Problem, match=r"permission denied|Anyone can COPY to stdout"):
            server.sql(f"SET ROLE app; {query}")
    described = docker("inspect", server.settings.service).stdout
    assert PASSWORD not in described and PASSWORD not in run(["ps", "axwwe"]).stdout
    folder = configuration.path(server.settings).parent
    assert {oct(path.stat().st_mode)[-3:] for path in (folder, *folder.iterdir())} == {"500", "400"}


def kill_swap(server, monkeypatch, owner, step):
    """Restore the first of two rows, and kill the swap when it comes to that step."""
    server.add(1)
    at = server.now()
    server.add(2)
    server.beside(at)
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(owner, step, mock.Mock(side_effect=KeyboardInterrupt))
        server.swap()


def test_a_swap_that_was_killed_and_discarded(server, monkeypatch):
    """Its timeline is in the archive already. The living one goes on, also for a restore while it is dead."""
    kill_swap(server, monkeypatch, restore, "use")
    assert server.rows() == [1, 2]
    restore.discard(server.fresh(), server.repository)
    server.add(3)
    server.ship()
    server.stop()
    docker("volume", "rm", server.settings.service)
    made = server.beside("latest")
    assert (made["rows"], made["timeline"]) == (3, 1)
    server.swap()
    assert server.rows() == [1, 2, 3]


def test_a_swap_that_was_killed_at_the_restart_must_go_on(server, monkeypatch):
    """The next start of the service is on the restored volume, whatever is written until then: a discard or another
    restore would make everybody forget that."""
    kill_swap(server, monkeypatch, server, "start")
    with pytest.raises(Problem, match="slipway restore --swap"):
        restore.discard(server.fresh(), server.repository)
    with pytest.raises(Problem, match="slipway restore --swap"):
        server.beside("latest")
    server.swap()
    assert server.rows() == [1]
    server.beside("latest")


def test_what_a_lost_volume_had_not_sent_is_not_offered(server, capsys):
    """Although seconds before and after it can be restored."""
    server.add(1)
    server.ship()
    sent = server.state("wal")["until"]
    server.add(2)
    unsent = server.now()
    server.stop()
    docker("volume", "rm", server.settings.service)
    server.restore("latest")
    server.add(3)
    server.ship()
    capsys.readouterr()
    restore.offer(server.fresh(), server.repository)
    offered = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert server.rows() == [1, 3]
    assert [[begin, end] for begin, end in offered["lost_since"] if begin <= unsent <= end] == [[sent, mock.ANY]]
    assert server.beside("latest")["rows"] == 2
