"""Files in the database, served by gunicorn: what clients take, and what it costs the site."""

import hashlib
import http.client
from pathlib import Path

import psycopg2
import pytest
from blobs.commands import code
from ops.served import serve

from proc import run, wait_until

LARGE, SMALL = 64 * 1024 * 1024, 16 * 1024 * 1024  # neither fits into what lies between a site and its client
SAVE = "s.save('large.bin', ContentFile(random.Random(1).randbytes(int(sys.argv[1]))))"
SETTINGS = "DEBUG = False\nALLOWED_HOSTS = ['*']\n"
both = pytest.mark.parametrize("server", ["wsgi", "asgi"])


@pytest.fixture
def site(tmp_path):
    """Serves a file of that size: `with site(url, server, size) as served`."""
    def serving(url, server, size, **env):
        code(url, SAVE, str(size))
        settings = SETTINGS + "DATABASES['default']['CONN_MAX_AGE'] = 0\n" * (server == "asgi")  # as in production
        return serve(tmp_path, settings, STORAGE_URL="database:", DATABASE_URL=url, SERVER=server, **env)
    return serving


def memory(site):
    """The most that a worker has had, in kB."""
    pids = run(["ps", "-o", "pid=", "--ppid", str(site.process.pid)]).stdout.split()
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@both
def test_a_download(site, made, server):
    """In parts, or whole, with no more memory than a piece takes."""
    with site(made, server, LARGE) as served:
        part = served.get("/media/large.bin", {"Range": "bytes=1000000-3999999"})
        assert part.status == 206 and len(part.body) == 3_000_000
        before, connection, sha256 = memory(served), served.connection(), hashlib.sha256()
        connection.request("GET", "/media/large.bin")
        response = connection.getresponse()
        assert (response.status, int(response.headers["Content-Length"])) == (200, LARGE)
        while data := response.read(1_000_000):
            sha256.update(data)
        assert response.headers["ETag"] == f'"{sha256.hexdigest()}"'
        assert memory(served) - before < 12_000
        assert served.get("/media/large.bin", {"If-None-Match": response.headers["ETag"]}).status == 304
        head = served.get("/media/large.bin", method="HEAD")
        assert (head.status, head.headers["Content-Length"], head.body) == (200, str(LARGE), b"")
        assert served.get("/media/absent").status == 404


@both
def test_a_slow_client(site, postgresql_made, server):
    """While it reads nothing nothing is under way in the database; under ASGI, where sessions end with what they are
    for, there is none."""
    def sessions():
        with psycopg2.connect(postgresql_made) as database, database.cursor() as cursor:
            cursor.execute("SELECT state FROM pg_stat_activity WHERE datname = current_database()"
                           " AND pid != pg_backend_pid()")
            return {state for (state,) in cursor.fetchall()}
    with site(postgresql_made, server, SMALL) as served:
        connection = served.connection()
        connection.request("GET", "/media/large.bin")
        response = connection.getresponse()
        response.read(1000)
        wait_until(lambda: sessions() == (set() if server == "asgi" else {"idle"}), 20, sessions)
        assert len(response.read()) == SMALL - 1000


@both
def test_a_damaged_file_breaks_off(site, made, server):
    """Nobody takes what comes for the whole of it."""
    with site(made, server, SMALL) as served:
        code(made, "from slipway.files.models import Chunk\nChunk.objects.filter(number=3).update(data=bytes(262144))")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            served.get("/media/large.bin")
        wait_until(lambda: "large.bin is damaged" in served.process.output(), 20)
