"""Backups of a real Postgres in a bucket of moto's server, by pgBackRest and restic."""

import contextlib
import tempfile

import pytest

import services
from engine import docker
from image import backup_server
from image.backup_server import Server
from proc import free_port, running, wait_until

from .conftest import moto, new_bucket

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("restic"), pytest.mark.needs("nginx")]
# moto's own TLS ends a connection without a word, which OpenSSL takes for an attack.
FRONT = """
pid {folder}/pid; error_log stderr; events {{ }}
http {{
    access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen {host}:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_set_header Host $http_host; }}
    }}
}}
"""


@pytest.fixture
def host():
    """Return this machine's address for containers."""
    return docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").stdout


@contextlib.contextmanager
def front(folder, **words):
    """Run nginx for the block. Yield its port."""
    port = free_port()
    (folder / "nginx.conf").write_text(FRONT.format(folder=folder, port=port, **words))
    with running(["nginx", "-c", folder / "nginx.conf", "-g", "daemon off;"]) as process:
        wait_until(lambda: (folder / "pid").exists() or process.poll() is not None, 30, "nginx runs")
        yield port


def test_the_database_comes_back_from_a_bucket(monkeypatch, tmp_path, host):
    """Of a server of one's own, whose certificate nobody else knows. The database and the points in time go there, and
    nothing is there in plain text."""
    certificate, key = services.certificate(tmp_path, host, "IP")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s/cret", "AWS_DEFAULT_REGION": "eu"}
    with moto() as behind, front(tmp_path, host=host, behind=behind, certificate=certificate, key=key) as port:
        bucket = new_bucket("backups", behind)
        to, folder = f"s3:https://{host}:{port}/backups/shop", tempfile.mkdtemp(prefix="bk-", dir="/tmp")
        server = Server(folder, monkeypatch, backup_server.build(), to, SSL_CERT_FILE=str(certificate), **keys)
        try:
            server.begin()
            server.sql("CREATE TABLE names (name text)")
            server.sql("INSERT INTO names VALUES ('somebody')")
            server.add(1)
            then = server.now()
            server.add(2)
            server.restore(then)
            assert server.rows() == [1]
        finally:
            server.clean()
        names = bucket.names()
        assert {name.split("/")[1] for name in names} == {"database", "files"}, names
        assert not [name for name in names if b"somebody" in bucket.get(name)]
