"""Tests of STORAGE_URL=s3://…: django-storages with another project's server, moto's."""

import hashlib
import os
import random
import signal
import sqlite3
import ssl
import sys
from contextlib import closing
from urllib.request import urlopen

import psycopg2
import pytest

from blobs.commands import PATH, code, manage
from proc import ROOT, running, wait_until

from .conftest import moto, new_bucket

LARGE = random.Random(1).randbytes(32_000_000)  # so large that a copy can be killed midway
FILES = {
    **{f"a/{number}": random.Random(number).randbytes(number * 1000) for number in range(20)},
    "m/large": LARGE,
    **{f"z/ü {number}": b"" for number in range(5)},
}

UPLOADS = """
from filed.models import Paper
paper = Paper.objects.create(scan=ContentFile(b"first", "a.txt"))
second = Paper.objects.create(scan=ContentFile(b"second", "a.txt"))
assert (paper.scan.name, paper.scan.read(), paper.scan.size) == ("papers/a.txt", b"first", 5)
assert second.scan.name != paper.scan.name and second.scan.read() == b"second"
with s.open("w", "wb") as file:
    file.write(b"written")
assert sorted(s.listdir("papers")[1]) == sorted([paper.scan.name[7:], second.scan.name[7:]])
second.scan.delete()
assert not s.exists(second.scan.name or "papers/gone") and s.exists("w")
print(paper.scan.url)
"""


def test_uploads(bucket, sqlite_made):
    """A FileField's upload is in the bucket. If a name is taken, the upload gets another. The signed URL gives access
    to it."""
    manage(sqlite_made, "migrate", "-v0", "--run-syncdb")
    url = code(sqlite_made, UPLOADS, STORAGE_URL=bucket.url, **bucket.env).strip()
    assert bucket.names() == {"papers/a.txt", "w"} and bucket.get("w") == b"written"
    assert url.startswith(f"https://127.0.0.1:{bucket.port}/{bucket.name}/papers/a.txt?") and "Signature=" in url
    with urlopen(url, context=ssl.create_default_context(cafile=bucket.cert)) as answer:
        assert answer.read() == b"first"


@pytest.mark.parametrize("key, signs", [("key:secret@", "key"), ("", "test-key")])
def test_without_tls_or_key(sqlite_made, tmp_path, key, signs):
    """s3+http:// is a bucket, too. Without a key the machine's role signs: a metadata service has its key."""
    manage(sqlite_made, "migrate", "-v0", "--run-syncdb")
    with moto() as port:
        new_bucket("shop", port)
        env = {
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}",
            "STORAGE_URL": f"s3+http://{key}127.0.0.1:{port}/shop?region=eu",
        }
        url = code(sqlite_made, UPLOADS, **env).strip()
        with urlopen(url) as answer:
            assert f"X-Amz-Credential={signs}%2F" in url and answer.read() == b"first", url


def test_a_bucket_that_is_away(bucket, sqlite_made):
    """A missing bucket, or one with an untrusted certificate, costs one line."""
    for env in ({**bucket.env, "SSL_CERT_FILE": ""}, {**bucket.env, "OLD_BUCKET": bucket.url.replace("files-", "no-")}):
        with moving(sqlite_made, env, "OLD_BUCKET", "database:") as process:
            assert process.wait(120) == 1
            said = process.output()
            assert said.startswith("CommandError: cannot list OLD_BUCKET: ") and "cret" not in said, said


def moving(url, env, *words):
    """Run movefiles in its own process for the block."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "filed.settings",
        "STORAGE_URL": "database:",
        "PYTHONPATH": PATH,
        "TEST_DATABASE_URL": url,
        **env,
    }
    return running([sys.executable, "-m", "django", "movefiles", *words], cwd=ROOT, env=env)


def asked(url, sql):
    """Return the rows of a query."""
    connect = psycopg2.connect if url.startswith("postgres") else sqlite3.connect
    with closing(connect(url if url.startswith("postgres") else url.removeprefix("sqlite:///"))) as database:
        cursor = database.cursor()
        cursor.execute(sql)
        return cursor.fetchall()


def in_database(url):
    """Return {name: SHA-256} of all complete files there."""
    return dict(asked(url, "SELECT name, sha256 FROM slipway_blobs_blob WHERE name IS NOT NULL"))


def killed(process, when, what):
    """Kill the process as soon as `when` holds."""
    wait_until(lambda: process.poll() is not None or when(), 120, what)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL, process.output()


def ends(process, message):
    assert process.wait(300) == 0 and message in process.output(), process.output()


def test_moved_and_moved_back(bucket, postgresql_made):
    """If movefiles is killed in either direction, nobody sees half of a file. The next run continues, and at the end
    all files are unchanged."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    for name, content in FILES.items():
        bucket.put(name, content)
    with moving(postgresql_made, bucket.env, "OLD_BUCKET", "database:") as process:
        killed(process, lambda: len(in_database(postgresql_made)) >= 20, "the next one is large")
    assert in_database(postgresql_made) == {name: sums[name] for name in FILES if name.startswith("a/")}
    with moving(postgresql_made, bucket.env, "OLD_BUCKET", "database:") as process:
        ends(process, "6 files copied, 20 were there already, 0 problems")
    assert in_database(postgresql_made) == sums and bucket.names() == {*FILES}
    for name in FILES:
        bucket.client.delete_object(Bucket=bucket.name, Key=name)
    with moving(postgresql_made, bucket.env, "database:", "OLD_BUCKET") as process:
        killed(process, lambda: len(bucket.names()) >= 10, "some are there")
    assert "m/large" not in bucket.names()
    with moving(postgresql_made, bucket.env, "database:", "OLD_BUCKET") as process:
        ends(process, "were there already, 0 problems")
    assert all(bucket.get(name) == content for name, content in FILES.items()) and in_database(postgresql_made) == sums
