"""Tests of broker and cache over TLS: a server with a wrong certificate gets no password and no task."""

import contextlib
import os
import ssl

import pytest

from proc import ROOT, python
from relay import Relay
from services import certificate

# The site's own limits of a second are short for a busy machine.
ASK = {
    "BROKER_URL": "from slipway.celery import app;"
    " app.connection_for_write(connect_timeout=30).ensure_connection(max_retries=0)",
    "CACHE_URL": "from django.conf import settings;"
    " settings.CACHES['default']['OPTIONS'].update(socket_timeout=30, socket_connect_timeout=30);"
    " from django.core.cache import cache; cache.set('a', 1); assert cache.get('a') == 1",
}


class Tls(Relay):
    """TLS in front of a service of the loopback, with a certificate and its key."""

    def __init__(self, target, *certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        super().__init__(target)

    def join(self, client):
        with contextlib.suppress(OSError):  # a client that does not trust it
            super().join(self.context.wrap_socket(client, server_side=True))


@pytest.mark.parametrize("name, trusted", [("localhost", True), ("localhost", False), ("other.example", True)])
@pytest.mark.parametrize(
    "scheme, variable", [("rediss", "BROKER_URL"), ("amqps", "BROKER_URL"), ("rediss", "CACHE_URL")]
)
def test_only_the_right_certificate_will_do(request, tmp_path, scheme, variable, name, trusted):
    """A certificate must be for the name in the URL, from an authority known to this machine or in SSL_CERT_FILE."""
    service, user = {"rediss": ("redis", ""), "amqps": ("rabbitmq", "guest:guest@")}[scheme]
    path, key = certificate(tmp_path, name)
    with contextlib.closing(Tls(request.getfixturevalue(service).port, path, key)) as tls:
        done = python(
            "-c",
            f"import django; django.setup(); {ASK[variable]}",
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "project.settings_docker",
                "SITE_URL": "http://localhost",
                "SECRET_KEY": "0123456789abcdef" * 4,
                "DATABASE_URL": "sqlite://:memory:",
                variable: f"{scheme}://{user}localhost:{tls.port}/",
                **({"SSL_CERT_FILE": str(path)} if trusted else {}),
            },
        )
    if (name, trusted) == ("localhost", True):
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1 and "Error" in done.stderr, "it was taken"
