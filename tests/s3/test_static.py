"""`docker-run.sh collectstatic s3://…`: a release's static files in a bucket of moto's server, for any engine."""

import json
import os
import random
import re
import signal
import socket
import ssl
import sys
from contextlib import closing
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest
from s3.bucket import Bucket
from s3.conftest import moto
from s3.release import Release

from proc import answers, free_port, run, wait_until
from relay import Relay

FOREVER = "public, max-age=31536000, immutable"
CSS = b"body { color: red } @font-face { font-family: f; src: url('f.woff2') } " + b"p {}" * 1000


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first release. Its settings are without a bucket."""
    release = Release(tmp_path_factory.mktemp("first"))
    release.static(s_css=CSS, f_woff2=b"font", logs_tar_gz=b"\x1f\x8bdownload", a_mjs=b"export {}", i_svg=b"<svg/>")
    return release.collect()


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Another one, of which a file differs, and another is gone."""
    release = Release(tmp_path_factory.mktemp("second"))
    release.static(s_css=CSS.replace(b"red", b"blue"), f_woff2=b"font")
    return release.collect()


@pytest.fixture
def settings(bucket):
    """Those of a bucket that has a key of its own, while uploads are elsewhere."""
    return {"STATIC_STORAGE_URL": bucket.url, "AWS_CA_BUNDLE": str(bucket.cert)}


def added(done):
    """(how many files were added, of how many), as it is told."""
    assert done.returncode == 0, done.stdout + done.stderr
    match = re.fullmatch(r"collectstatic: (\d+) of (\d+) files added to s3://\S+\n", done.stdout)
    assert match, done.stdout
    return int(match[1]), int(match[2])


def refused(done, said):
    """It says so in one line, which holds no secret, and ends with 1."""
    line, = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1 and line.startswith("collectstatic: ") and re.search(said, line), line
    assert not re.search("s(/|%2F)cret", line)


def test_a_second_release_adds_what_is_new(bucket, settings, first, second):
    """Each file is there under its hashed name, byte by byte. Nothing that was there is written again or goes, be it
    of an older release or somebody else's."""
    place = f"s3://{bucket.name}/shop/static"
    bucket.put("shop/other", b"somebody's")
    assert added(first.do("collectstatic", place, **settings)) == (len(first.files()),) * 2
    assert bucket.names() == {"shop/other", *(f"shop/static/{name}" for name in first.files())}
    assert all(bucket.get(f"shop/static/{name}") == content for name, content in first.files().items())
    kept = f"shop/static/{first.hashed('f.woff2')}"
    bucket.put(kept, b"as it was")
    new = second.files().keys() - first.files().keys()
    assert added(second.do("collectstatic", place + "/", **settings)) == (len(new), len(second.files())) and new
    assert bucket.names() == {"shop/other", *(f"shop/static/{name}" for name in first.files() | second.files())}
    assert bucket.get(kept) == b"as it was"
    uploads = Bucket(bucket.client, bucket.name + "-uploads", bucket.port, bucket.cert)  # its key will do, too
    env = {"STORAGE_URL": uploads.url, "AWS_CA_BUNDLE": str(bucket.cert)}
    assert added(second.do("collectstatic", place, **env)) == (0, len(second.files()))


def test_what_a_bucket_says_of_a_file(bucket, settings, first):
    """As the site would: its type, and that it is never asked for again. The name gives the file as it is, as a bucket
    asks nobody what he can read; a compressed form is of its file's type, and a download ending in .gz is no form."""
    first.do("collectstatic", f"s3://{bucket.name}", **settings)
    css = first.hashed("s.css")

    def told(name):
        found = bucket.client.head_object(Bucket=bucket.name, Key=name)
        assert found["CacheControl"] == FOREVER
        return found["ContentType"], found.get("ContentEncoding")
    assert told(css) == ("text/css; charset=utf-8", None) and bucket.get(css).startswith(b"body {")
    assert told(css + ".gz") == ("text/css; charset=utf-8", "gzip")
    assert bucket.get(css + ".gz") == (first.root / (css + ".gz")).read_bytes()
    assert told(first.hashed("a.mjs")) == ("text/javascript; charset=utf-8", None)
    assert told(first.hashed("i.svg")) == ("image/svg+xml", None)
    assert told(first.hashed("f.woff2")) == ("font/woff2", None)
    assert told(first.hashed("logs.tar.gz")) == ("application/octet-stream", None)


def policy(bucket):
    """Everybody may read what is below static/, as docs/files.md says."""
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
         "Resource": f"arn:aws:s3:::{bucket.name}/static/*"}]}))


def fetched(url, bucket):
    """(content, type) of what anybody gets."""
    with urlopen(url, context=ssl.create_default_context(cafile=bucket.cert), timeout=30) as answer:
        return answer.read().decode("latin1"), answer.headers["Content-Type"]


def test_a_page_has_its_files_from_the_bucket(bucket, settings, first):
    """One command publishes and migrates, as platforms call it. Of each page every file is in the bucket, also what a
    file names in turn; browsers may load it from there; and the site itself has none."""
    done = first.do("collectstatic", f"s3://{bucket.name}/static", "migrate", **settings)
    assert done.returncode == 0 and "Applying accounts.0001_initial... OK" in done.stdout, done.stdout + done.stderr
    policy(bucket)
    port, static = free_port(), f"https://127.0.0.1:{bucket.port}/{bucket.name}/static/"
    env = {"SITE_URL": f"http://localhost:{port}", "PORT": str(port), "STATIC_URL": static.rstrip("/"), **settings}
    with first.doing("run", **env) as process:
        wait_until(lambda: process.poll() is not None or answers(port), 60, "the site is up")
        seen = set()
        for path in ("/", "/admin/login/"):
            with urlopen(f"http://localhost:{port}{path}") as page:
                text, allowed = page.read().decode(), page.headers["Content-Security-Policy"]
            assert f"default-src 'self' {static}" in allowed
            named = re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]+\.(?:css|js|svg))"', text)
            assert named and all(url.startswith(static) for url in named), named
            seen |= {*named}
    for url in list(seen):
        content, kind = fetched(url, bucket)
        if kind.startswith("text/css"):
            seen |= {urljoin(url, name) for name in re.findall(r"url\([\"']?([^\"')]+)", content) if ":" not in name}
    assert any(url.endswith(".css") for url in seen) and all(fetched(url, bucket) for url in seen)
    css = f"{static}{first.hashed('s.css')}"
    font = re.search(r"url\([\"']?([^\"')]+)", fetched(css, bucket)[0])[1]
    assert fetched(urljoin(css, font), bucket) == ("font", "font/woff2")


# ---- what goes wrong ----

def test_a_bucket_that_takes_nothing(bucket, settings, first, certificate):
    """It is not there, the key is wrong, nobody listens, its certificate is nobody's, no setting names its server; or
    a password is where all can read it. What was to come after does not: there is no database."""
    database = {"DATABASE_URL": f"sqlite:///{first.folder}/none.sqlite3"}
    place, port = f"s3://{bucket.name}/x", f":{bucket.port}/"
    with moto(certificate, INITIAL_NO_AUTH_ACTION_COUNT="0") as closed:
        for change, where, said in (
                ({}, "s3://no-such-bucket/x", "^collectstatic: s3://no-such-bucket/x: .*NoSuchBucket"),
                ({"STATIC_STORAGE_URL": bucket.url.replace(port, f":{closed}/")}, place, "InvalidAccessKeyId"),
                ({"STATIC_STORAGE_URL": bucket.url.replace(port, f":{free_port()}/")}, place, "Could not connect"),
                ({"AWS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}, place, "CERTIFICATE_VERIFY_FAILED"),
                ({"STATIC_STORAGE_URL": ""}, place, "STATIC_STORAGE_URL is not set; for example"),
                ({"STATIC_STORAGE_URL": "", "STORAGE_URL": "database:"}, place, "STATIC_STORAGE_URL is not set"),
                ({}, bucket.url, "name the bucket as s3://bucket/folder"),
                ({}, "s3://bucket/../x", "name the bucket as s3://bucket/folder")):
            refused(first.do("collectstatic", where, "migrate", **{**settings, **database, **change}), said)
    assert bucket.names() == set() and not (first.folder / "none.sqlite3").exists()


def test_settings_that_are_wrong(bucket, settings, first):
    """They are told as to any other command, all at once."""
    env = {**settings, "STATIC_STORAGE_URL": "s3://nobody/x", "STATIC_URL": "http://static.example/"}
    done = first.do("collectstatic", f"s3://{bucket.name}", **env)
    assert done.returncode == 64 and len(done.stderr.splitlines()) == 2 and "Traceback" not in done.stderr
    assert "settings: STATIC_STORAGE_URL is not s3://key:secret@host/bucket" in done.stderr


HASTY = "from slipway.files import bucket, publish\nbucket.LIMITS['read_timeout'] = 1\npublish.main(['s3://bucket/x'])"


def test_a_server_that_says_nothing(first):
    """Nobody waits for it for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**first.env, "STATIC_STORAGE_URL": f"s3://key:secret@127.0.0.1:{silent.getsockname()[1]}/bucket"}
        refused(run([sys.executable, "-c", HASTY], cwd=first.folder, env=env, timeout=60), "(?i)time")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A release of many files, of which each takes its time."""
    release = Release(tmp_path_factory.mktemp("large"))
    release.static(**{f"n{number}_bin": random.Random(number).randbytes(1_000_000) for number in range(30)})
    return release.collect()


def whole(bucket, release, prefix):
    """The names that the bucket has, of which each is whole."""
    names, files = bucket.names(), release.files()
    assert all(bucket.get(name) == files[name.removeprefix(prefix)] for name in names)
    return names


def test_killed_in_the_midst(bucket, settings, large):
    """What has a name then is whole; the next run adds the rest, and nothing else."""
    words = ("collectstatic", f"s3://{bucket.name}/k")
    with large.doing(*words, **settings) as process:
        wait_until(lambda: process.poll() is not None or len(bucket.names()) > 5, 60, "some are there")
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL, process.output()
    total, before = len(large.files()), len(whole(bucket, large, "k/"))
    assert 5 < before < total
    assert added(large.do(*words, **settings)) == (total - before, total)
    assert len(whole(bucket, large, "k/")) == total


def test_a_server_that_goes_away_in_the_midst(bucket, settings, large, certificate):
    """One line, and no half of a file; with the server back the next run adds the rest."""
    url = settings["STATIC_STORAGE_URL"]
    with closing(Relay(bucket.port)) as way:
        env = {**settings, "STATIC_STORAGE_URL": url.replace(f":{bucket.port}/", f":{way.port}/")}
        with large.doing("collectstatic", f"s3://{bucket.name}/k", **env) as process:
            wait_until(lambda: process.poll() is not None or len(bucket.names()) > 5, 60, "some are there")
            way.close()
            assert process.wait(60) == 1
            line, = process.output().splitlines()
            assert line.startswith(f"collectstatic: s3://{bucket.name}/k: ")
    before, total = len(whole(bucket, large, "k/")), len(large.files())
    assert before < total
    assert added(large.do("collectstatic", f"s3://{bucket.name}/k", **settings)) == (total - before, total)
