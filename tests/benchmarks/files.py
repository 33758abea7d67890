#!/usr/bin/env python3
"""Files in the database beside a folder and a bucket: `ve/bin/python tests/benchmarks/files.py [MB]`.

A file of so many MB (1000) and 200 of 100 kB are saved and read by Django's storages: FileSystemStorage, ours on SQLite
and on Postgres (Debian's, with fsync), S3Storage of django-storages on moto's server, which has all in memory. Each in
a process of its own, in turn, three times. django-storages and moto are installed for it, into a temporary virtualenv.
"""

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

KINDS = ("folder", "sqlite", "postgres", "bucket")
ROUNDS, SMALL, FEW = 3, 200, 100_000
DATABASE = "slipway.files.storage.DatabaseStorage"


# ---- in a process of its own: what one storage does ----

class Noise(io.RawIOBase):
    """So many bytes that no storage compresses, made without effort."""

    def __init__(self, size):
        self.left, self.block = size, os.urandom(1 << 20)

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self.left, len(self.block))
        self.left -= count
        buffer[:count] = self.block[:count]
        return count


def configure(kind, address):
    import dj_database_url
    import django
    from django.conf import settings
    storage = {"folder": ("django.core.files.storage.FileSystemStorage", {"location": address}),
               "bucket": ("storages.backends.s3.S3Storage", {
                   "access_key": "key", "secret_key": "secret", "bucket_name": "files", "endpoint_url": address,
                   "region_name": "us-east-1", "file_overwrite": False})}.get(kind, (DATABASE, {}))
    settings.configure(
        INSTALLED_APPS=["slipway.files"], USE_TZ=True, MEDIA_URL="/media/", CELERY_BROKER_URL="memory://",
        DATABASES={"default": dj_database_url.parse(address) if kind in ("sqlite", "postgres") else {}},
        STORAGES={"default": {"BACKEND": storage[0], "OPTIONS": storage[1]}})
    django.setup()
    if kind in ("sqlite", "postgres"):
        from django.core.management import call_command
        call_command("migrate", verbosity=0)
    if kind == "bucket":
        import boto3
        client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="key",
                              aws_secret_access_key="secret")
        with contextlib.suppress(client.exceptions.ClientError):
            client.create_bucket(Bucket="files")


def measure(kind, address, megabytes):
    """Seconds of each thing done, and the most memory in MB beyond what was there before."""
    import resource
    import time
    configure(kind, address)
    from django.core.files import File
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    found, content = {}, os.urandom(FEW)

    @contextlib.contextmanager
    def timed(what):
        began = time.monotonic()
        yield
        found[what] = time.monotonic() - began

    def most():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    default_storage.save("first", ContentFile(content))
    before = most()
    with timed("small up"):
        names = [default_storage.save(f"small/{number}", ContentFile(content)) for number in range(SMALL)]
    with timed("small down"):
        for name in names:
            with default_storage.open(name) as file:
                assert file.read() == content
    with timed("up"):
        large = default_storage.save("large", File(io.BufferedReader(Noise(megabytes * 1_000_000), 1 << 16), "large"))
    found["memory up"] = most() - before
    with timed("down"), default_storage.open(large) as file:
        assert sum(map(len, file.chunks())) == megabytes * 1_000_000
    found["memory"] = most() - before
    for name in [*names, large, "first"]:
        default_storage.delete(name)
    print(json.dumps(found))


# ---- all of them ----

def virtualenv(folder):
    """Our pins, and what the bucket takes beside them."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    plain = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]
    (folder / "pins").write_text("\n".join(line.rstrip(" \\") for line in plain))
    subprocess.run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", folder / "pins",
                    "django-storages[s3]", "moto[server]"], check=True)
    return folder / "bin"


@contextlib.contextmanager
def servers(bin, folder):
    """kind → address of each."""
    from postgresql import Postgres, postgres_bin
    from proc import free_port, running, wait_until
    from services import answers, folder_for

    class Lasting(Postgres):
        def command(self):
            return [word for word in super().command() if word != "-F"]
    port, moto = free_port(), [bin / "moto_server", "-H", "127.0.0.1", "-p"]
    with folder_for("postgres") as path, running([*moto, str(port)]) as bucket:
        server = Lasting(postgres_bin(), path)
        server.make()
        with contextlib.closing(server.stack):
            server.start()
            wait_until(lambda: answers(port), what="moto")
            yield {"folder": str(folder), "sqlite": f"sqlite:///{folder}/db.sqlite3",
                   "postgres": server.url(server.database(migrated=False)), "bucket": f"http://127.0.0.1:{port}"}
            print(f"moto's server had {most_of(bucket.pid):.0f} MB at most", file=sys.stderr)
            server.stop()


def most_of(pid):
    """The most memory that a process had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def table(runs, megabytes):
    """The medians of MB and of small files a second; what each is of the bucket's, in the rounds of one run; memory."""
    amounts = {"up": megabytes, "down": megabytes, "small up": SMALL, "small down": SMALL}
    for kind in KINDS:
        cells = []
        for what, amount in amounts.items():
            ratios = sorted(beside[what] / run[what] for run, beside in zip(runs[kind], runs["bucket"]))
            cells += [f"{amount / statistics.median(run[what] for run in runs[kind]):.0f}",
                      f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"]
        grown = [f"{max(run[what] for run in runs[kind]):.0f} MB" for what in ("memory up", "memory")]
        print(f"| {kind} |", " | ".join(cells + grown), "|", flush=True)


def main(megabytes=1000):
    with tempfile.TemporaryDirectory(dir=ROOT / "var") as name:
        folder = Path(name)
        bin = virtualenv(folder / "ve")
        with servers(bin, folder) as addresses:
            runs, env = {kind: [] for kind in KINDS}, {**os.environ, "PYTHONPATH": str(ROOT)}
            for _ in range(ROUNDS):
                for kind in KINDS:
                    told = subprocess.run([bin / "python", __file__, kind, addresses[kind], str(megabytes)], check=True,
                                          stdout=subprocess.PIPE, text=True, env=env)
                    runs[kind].append(json.loads(told.stdout))
                    print(kind, {what: round(value, 2) for what, value in runs[kind][-1].items()}, file=sys.stderr)
        table(runs, megabytes)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
