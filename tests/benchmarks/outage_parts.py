"""The services of outages.py, and the ways in which each is away: context managers, for as long as it is."""

import contextlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from ops.test_tls import certificate

from proc import run
from postgresql import Postgres, postgres_bin
from services import Redis, folder_for


class TlsRedis(Redis):
    """With TLS alone, and the certificate that `wear` gave it."""

    def command(self):
        return [*super().command(), "--port", "0", "--tls-port", self.port, "--tls-auth-clients", "no",
                "--tls-cert-file", f"{self.certificates}/server.pem",
                "--tls-key-file", f"{self.certificates}/server.key",
                "--tls-ca-cert-file", f"{self.certificates}/server.pem"]

    def url(self, number=0, port=None):
        return f"rediss://localhost:{port or self.port}/{number}"

    def limit(self, bytes):
        done = run(["redis-cli", "--tls", "--cacert", self.trusted, "-h", "localhost", "-p", self.port,
                    "config", "set", "maxmemory", bytes])
        assert done.stdout.strip() == "OK", done.stdout + done.stderr


class TlsPostgres(Postgres):
    """With TLS, for clients that insist on the right certificate."""

    def command(self):
        return [*super().command(), "-c", "ssl=on", "-c", f"ssl_cert_file={self.certificates}/server.pem",
                "-c", f"ssl_key_file={self.certificates}/server.key"]

    def url(self, name, port=None):
        plain = super().url(name, port).replace("127.0.0.1", "localhost")
        return f"{plain}?sslmode=verify-full&sslrootcert={self.trusted}"


class Certificates:
    """In a folder: the right certificate, and one of another name from an authority that nobody knows."""

    def __init__(self, folder):
        self.right, self.wrong = certificate(folder, "localhost"), certificate(folder, "other.example")

    def wear(self, server, path, user):
        """Give a server, which has to start again, this certificate."""
        server.certificates, server.trusted = server.own, self.right
        for suffix in (".pem", ".key"):
            target = server.own / f"server{suffix}"
            shutil.copy(path.with_suffix(suffix), target)
            target.chmod(0o600)
            os.chown(target, pwd.getpwnam(user).pw_uid, -1)


@contextlib.contextmanager
def redis(certificates):
    with tempfile.TemporaryDirectory() as path:
        server = TlsRedis()
        server.own, server.user = Path(path), "root"
        certificates.wear(server, certificates.right, server.user)
        with contextlib.closing(server.stack):
            server.start()
            yield server


@contextlib.contextmanager
def postgres(certificates):
    """On a small disk of its own, so that it can be filled."""
    with folder_for("postgres") as own, folder_for("postgres") as path, disk(path):
        server = TlsPostgres(postgres_bin(), path)
        server.make()
        server.own, server.user = own, "postgres"
        certificates.wear(server, certificates.right, server.user)
        with contextlib.closing(server.stack):
            server.start()
            yield server
            server.stop()


@contextlib.contextmanager
def disk(path, size="200m"):
    """In memory; only root can mount one."""
    options = f"size={size},mode=700,uid={pwd.getpwnam('postgres').pw_uid}"
    done = run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path])
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        run(["umount", "-l", path])


# ---- how it is away ----

@contextlib.contextmanager
def stopped(server):
    server.stop()
    yield
    server.start()


@contextlib.contextmanager
def full_memory(server):
    """Redis at its maxmemory, with which it drops nothing but refuses what it would have to keep."""
    server.limit(1)
    yield
    server.limit(0)


@contextlib.contextmanager
def full_disk(server):
    """Not a byte is left. A server that ended of it is started again, as systemd would."""
    ballast = server.folder / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    yield
    ballast.unlink()
    if server.process.poll() is not None:
        server.start()


@contextlib.contextmanager
def wrong_certificate(server, certificates):
    """It was started with one that is not its own."""
    for path in (certificates.wrong, certificates.right):
        server.stop()
        certificates.wear(server, path, server.user)
        server.start()
        if path == certificates.wrong:
            yield
