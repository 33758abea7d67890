"""Broker and cache over TLS: whose certificate is not theirs gets no password and no task."""

import asyncio
import os
import ssl
import threading

import pytest

import warm
from proc import ROOT, run

ASK = {
    "BROKER_URL": "from slipway.celery import check_broker; check_broker()",
    "CACHE_URL": "from django.core.cache import cache; cache.set('a', 1); assert cache.get('a') == 1",
}


class Tls:
    """TLS in front of a service of the loopback, with a certificate of a name's own."""

    def __init__(self, target, certificate):
        self.target, self.started = target, threading.Event()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_until_complete, args=(self.serve(),), daemon=True).start()
        assert self.started.wait(10)

    async def serve(self):
        self.done = asyncio.Event()
        async with await asyncio.start_server(self.join, "127.0.0.1", 0, ssl=self.context) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.started.set()
            await self.done.wait()

    async def join(self, reader, writer):
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(pump(reader, writer_there), pump(reader_there, writer))

    def close(self):
        self.loop.call_soon_threadsafe(self.done.set)


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


def certificate(folder, name):
    """A file with a new key and a certificate for that name, which is its own authority."""
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    done = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", path])
    assert done.returncode == 0, done.stderr
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture(params=[("rediss", "BROKER_URL"), ("amqps", "BROKER_URL"), ("rediss", "CACHE_URL")], ids="-".join)
def ask(request, tmp_path):
    """ask(name, trusted): how production's settings fare with a service under `localhost` whose certificate is for
    `name`, and whose authority they know or not."""
    scheme, variable = request.param
    server = request.getfixturevalue({"rediss": "redis", "amqps": "rabbitmq"}[scheme])
    user = {"rediss": "", "amqps": "guest:guest@"}[scheme]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings_docker", "SITE_URL": "http://localhost",
           "SECRET_KEY": "0123456789abcdef" * 4, "DATABASE_URL": "sqlite://:memory:"}

    def ask(name, trusted):
        path = certificate(tmp_path, name)
        tls = Tls(server.port, path)
        more = {variable: f"{scheme}://{user}localhost:{tls.port}/"}
        if trusted:
            more["SSL_CERT_FILE"] = str(path)
        done = warm.python("-c", f"import django; django.setup(); {ASK[variable]}", cwd=ROOT, env={**env, **more})
        tls.close()
        return done

    return ask


def test_only_the_right_certificate_will_do(ask):
    """It has to be for the name in the URL, and from an authority that this machine, or SSL_CERT_FILE, knows."""
    done = ask("localhost", trusted=True)
    assert done.returncode == 0, done.stderr
    for name, trusted in (("localhost", False), ("other.example", True)):
        done = ask(name, trusted)
        assert done.returncode == 1 and "Error" in done.stderr, f"one for {name}, trusted: {trusted}, was taken"
