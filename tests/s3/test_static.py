"""Tests of `docker-run.sh collectstatic s3://…`: static files in a bucket of moto's server, for any engine."""

import os
import re
import shutil
import socket
import sys

import pytest

from proc import ROOT, free_port, output, run
from s3.conftest import Bucket, moto

FOREVER = "public, max-age=31536000, immutable"
PARTS = ("slipway", "project", "manage.py", "docker-run.sh")
KEY = "0123456789abcdef" * 4
CSS = b"body { color: red } @font-face { font-family: f; src: url('f.woff2') } " + b"p {}" * 1000


class Release:
    """A folder with the files that .dockerignore includes. `env`: its settings."""

    def __init__(self, folder, **env):
        self.folder = folder
        self.env = {
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "HOME": str(folder),
            "VE": sys.prefix,
            "DJANGO_SETTINGS_MODULE": "project.settings_docker",
            "SECRET_KEY": KEY,
            "SITE_URL": "http://localhost",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            **env,
        }
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)

    def collect(self, **files):
        """Add static files {name: content} to the project's, where s_css becomes s.css, and do the build's part."""
        for name, content in files.items():
            (self.folder / "project/static" / name.replace("_", ".")).write_bytes(content)
        shutil.rmtree(self.folder / "static-root", ignore_errors=True)
        output(
            [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
            cwd=self.folder,
            env={**self.env, "IMAGE_BUILD": "1"},
        )
        return self

    @property
    def root(self):
        return self.folder / "static-root"

    def hashed(self, name):
        """Return the name with hash of a file at the top."""
        stem, dot, end = name.rpartition(".")
        return next(
            path.name
            for path in self.root.glob(f"{stem}.*{dot}{end}")
            if re.fullmatch(rf"{re.escape(stem)}\.[0-9a-f]{{12}}{re.escape(dot + end)}", path.name)
        )

    def files(self):
        """Return {name: content} of the files for visitors."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and re.search(r"\.[0-9a-f]{12}(\.\w+)?(\.gz|\.br)?$", path.name)
        }

    def do(self, *words, **env):
        """Run a command of the image to its end."""
        return run([self.folder / "docker-run.sh", *words], cwd=self.folder, env={**self.env, **env})


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return the first release. Its settings have no bucket."""
    return Release(tmp_path_factory.mktemp("first")).collect(
        s_css=CSS, f_woff2=b"font", logs_tar_gz=b"\x1f\x8bdownload", a_mjs=b"export {}", i_svg=b"<svg/>"
    )


@pytest.fixture
def settings(bucket):
    """Return settings of a bucket for static files, with its own key; uploads are elsewhere."""
    return {**bucket.env, "STATIC_STORAGE_URL": bucket.url}


def added(done):
    """Return (number of added files, of all files) from the output."""
    assert done.returncode == 0, done.stdout + done.stderr
    match = re.fullmatch(r"collectstatic: (\d+) of (\d+) files added to s3://\S+\n", done.stdout)
    assert match, done.stdout
    return int(match[1]), int(match[2])


def refused(done, message):
    """Assert that it fails with 1 and one line, which contains no secret."""
    (line,) = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1 and line.startswith("collectstatic: ") and re.search(message, line), line
    assert not re.search("s(/|%2F)cret", line)


def test_a_second_release_adds_what_is_new(bucket, settings, first, tmp_path):
    """Each file is there under its hashed name, unchanged. Existing files are neither written again nor removed, even
    those of older releases or other owners."""
    place, second = f"s3://{bucket.name}/shop/static", Release(tmp_path)
    second.collect(s_css=CSS.replace(b"red", b"blue"), f_woff2=b"font")  # one file changed, others removed
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
    uploads = Bucket(bucket.client, bucket.name + "-uploads", bucket.port, bucket.cert)  # its key is accepted too
    env = {**uploads.env, "STORAGE_URL": uploads.url}
    assert added(second.do("collectstatic", place, **env)) == (0, len(second.files()))


def test_what_a_bucket_says_of_a_file(bucket, settings, first):
    """The bucket gives the same type and cache time as the site. The plain name gives the uncompressed file, because a
    bucket does not negotiate. A compressed form has its file's type; a download ending in .gz is no such form."""
    done = first.do("collectstatic", f"s3://{bucket.name}", "migrate", **settings)  # as platforms do
    assert done.returncode == 0 and "Applying accounts.0001_initial... OK" in done.stdout, done.stdout + done.stderr
    css = first.hashed("s.css")

    def head_of(name):
        found = bucket.client.head_object(Bucket=bucket.name, Key=name)
        assert found["CacheControl"] == FOREVER
        return found["ContentType"], found.get("ContentEncoding")

    assert head_of(css) == ("text/css; charset=utf-8", None) and bucket.get(css).startswith(b"body {")
    assert head_of(css + ".gz") == ("text/css; charset=utf-8", "gzip")
    assert bucket.get(css + ".gz") == (first.root / (css + ".gz")).read_bytes()
    assert head_of(first.hashed("a.mjs")) == ("text/javascript; charset=utf-8", None)
    assert head_of(first.hashed("i.svg")) == ("image/svg+xml", None)
    assert head_of(first.hashed("f.woff2")) == ("font/woff2", None)
    assert head_of(first.hashed("logs.tar.gz")) == ("application/octet-stream", None)


def test_a_bucket_that_takes_nothing(bucket, settings, first, certificate):
    """A missing bucket, a wrong key, a closed port, an untrusted certificate, a missing setting, or a password in the
    arguments is refused. The command after it does not run: there is no database."""
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
            ({}, "s3://bucket/../x", "name the bucket as s3://bucket/folder"),
        ):
            refused(first.do("collectstatic", where, "migrate", **{**settings, **database, **change}), said)
    assert bucket.names() == set() and not (first.folder / "none.sqlite3").exists()


HASTY = "from slipway.files import bucket, publish\nbucket.LIMITS['read_timeout'] = 1\npublish.main(['s3://bucket/x'])"


def test_a_server_that_says_nothing(first):
    """The command times out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**first.env, "STATIC_STORAGE_URL": f"s3://key:secret@127.0.0.1:{silent.getsockname()[1]}/bucket"}
        refused(run([sys.executable, "-c", HASTY], cwd=first.folder, env=env, timeout=60), "(?i)time")
