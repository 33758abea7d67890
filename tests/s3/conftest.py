"""A bucket of moto's server, with https as STORAGE_URL requires and its own client beside Django's; and a database."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

import services
from blobs.conftest import postgresql_made, sqlite_made  # noqa: F401  fixtures
from proc import free_port, running, wait_until


@dataclass
class Bucket:
    """A bucket: its name at a server, and the certificate to trust."""

    client: object
    name: str
    port: int
    cert: Path

    @property
    def env(self):
        """Return a process's variables for the bucket. OLD_BUCKET is for movefiles."""
        return {"OLD_BUCKET": self.url, "SSL_CERT_FILE": str(self.cert), "AWS_CA_BUNDLE": ""}

    @property
    def url(self):
        return f"s3://key:s%2Fcret@127.0.0.1:{self.port}/{self.name}?region=eu"

    def put(self, name, content):
        self.client.put_object(Bucket=self.name, Key=name, Body=content)

    def get(self, name):
        return self.client.get_object(Bucket=self.name, Key=name)["Body"].read()

    def names(self):
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {each["Key"] for each in found}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return (certificate, key), self-signed, for 127.0.0.1."""
    return services.certificate(tmp_path_factory.mktemp("certificate"), "127.0.0.1", "IP")


@contextlib.contextmanager
def moto(certificate=(), **env):
    """Run moto's server for the block, with TLS if it has a (certificate, key). Yield its port."""
    port, tls = free_port(), [word for pair in zip(("-c", "-k"), certificate, strict=False) for word in pair]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port, *tls]
    url = f"https://127.0.0.1:{port}" if tls else f"http://127.0.0.1:{port}"
    env = {**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": url, **env}
    with running(command, env=env) as process:
        wait_until(lambda: process.poll() is not None or services.answers(port), 60, "moto's server")
        assert process.poll() is None, process.output()
        yield port


@pytest.fixture(scope="session")
def server(certificate):
    """Yield the port of moto's server, and the certificate to trust."""
    with moto(certificate) as port:
        yield port, certificate[0]


@pytest.fixture
def bucket(server, request):
    """Return an empty bucket."""
    return new_bucket(f"files-{abs(hash(request.node.nodeid))}", *server)


def new_bucket(name, port, cert=None):
    client = boto3.client(
        "s3",
        endpoint_url=f"https://127.0.0.1:{port}" if cert else f"http://127.0.0.1:{port}",
        region_name="eu",
        verify=cert and str(cert),
        aws_access_key_id="key",
        aws_secret_access_key="s/cret",
    )
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu"})
    return Bucket(client, name, port, cert)
