"""A bucket, as moto's server has one, by https as STORAGE_URL asks for it; and a database beside it."""

import contextlib
import os
import sys

import boto3
import pytest
from blobs.conftest import postgresql_made, sqlite_made  # noqa: F401: fixtures
from s3.bucket import Bucket

from proc import free_port, run, running, wait_until
from services import answers


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate, key) of 127.0.0.1, which signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    done = run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "cert"])
    assert done.returncode == 0, done.stderr
    return folder / "cert", folder / "key"


@contextlib.contextmanager
def moto(certificate, **env):
    """The port of a server of moto's, which is there while the block runs."""
    port, (cert, key) = free_port(), certificate
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port, "-c", cert, "-k", key]
    env = {**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": f"https://127.0.0.1:{port}", **env}
    with running(command, env=env) as process:
        wait_until(lambda: process.poll() is not None or answers(port), 60, "moto's server")
        assert process.poll() is None, process.output()
        yield port


@pytest.fixture(scope="session")
def server(certificate):
    """The port of moto's server, and the certificate of who may be trusted."""
    with moto(certificate) as port:
        yield port, certificate[0]


@pytest.fixture
def bucket(server, request):
    """An empty one."""
    port, cert = server
    client = boto3.client("s3", endpoint_url=f"https://127.0.0.1:{port}", region_name="eu", verify=str(cert),
                          aws_access_key_id="key", aws_secret_access_key="s/cret")
    bucket = Bucket(client, f"files-{abs(hash(request.node.nodeid))}", port, cert)
    bucket.create()
    return bucket
