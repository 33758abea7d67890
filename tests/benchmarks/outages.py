"""What visitors see while a service is away or the site is attacked, and how soon all is well again. Prints a table.

    sudo ve/bin/python tests/benchmarks/outages.py [--only WORD] [--log FILE]

The real parts of Debian's packages, on 127.0.0.1: nginx with the shipped configuration, gunicorn with production's
settings, PostgreSQL and Redis over TLS, RabbitMQ. Root is needed for a small disk, which is filled. It takes about
six minutes, and ends all that it has started.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import outage_parts as parts  # noqa: E402
from host.conftest import Nginx, program  # noqa: E402
from ops.served import serve  # noqa: E402
from outage_visitors import Visitors, attackers, slow_clients  # noqa: E402

from services import new_rabbitmq  # noqa: E402

SETTINGS = """
from project.settings_docker import *
ROOT_URLCONF = "pages"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
"""
PAGES = {"plain": "needs nothing", "read": "reads the database", "write": "writes to it", "cached": "uses the cache",
         "queued": "sends a task"}
SECONDS = 8  # that an outage lasts


@contextlib.contextmanager
def front():
    """nginx as it is shipped, and Debian's number of connections. Yields it and its port."""
    root = Path(tempfile.mkdtemp(prefix="nginx-"))
    try:
        nginx = Nginx(root, program("nginx"))
        main = root / "nginx.conf"
        main.write_text(main.read_text().replace("worker_connections 500", "worker_connections 768"))
        port = nginx.site("shop", balancers=["127.0.0.1"])  # so that each attacker has an address
        with nginx.serving(port):
            yield nginx, port
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def site(folder, nginx, postgres, redis, broker):
    """gunicorn behind nginx, with two workers of four threads."""
    (folder / "outage_settings.py").write_text(SETTINGS)
    with serve(folder, DJANGO_SETTINGS_MODULE="outage_settings", ROLE="web", SITE_URL="http://localhost",
               SECRET_KEY="0123456789abcdef" * 4, SOCKET="as in production", WEB_CONCURRENCY="2",
               DATABASE_URL=postgres.url(postgres.database()), CACHE_URL=redis.url(1), BROKER_URL=broker,
               SSL_CERT_FILE=str(redis.trusted)) as served:
        link = nginx.root / "run/shop/a/web.sock"
        link.unlink(missing_ok=True)
        link.symlink_to(served.path)
        yield served


def row(name, outage, visitors, seconds):
    """A line of the table: the outage lasts so many seconds from when it has begun."""
    visitors.calm(time.monotonic())
    with outage:
        start = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
    recovered = visitors.calm(time.monotonic())
    seen = [visitors.seen(page, start, end) for page in PAGES]
    return [name, *seen, "not within 90" if recovered is None else f"{recovered:.1f}"]


def outages(port, postgres, redis, certificates):
    """(name, context manager, seconds) of those of a site whose cache and broker are one Redis."""
    for name, server, full in (("Redis", redis, parts.full_memory), ("PostgreSQL", postgres, parts.full_disk)):
        yield f"{name} stopped", parts.stopped(server), SECONDS
        yield f"{name} paused", server.paused(), SECONDS
        yield f"{name} full", full(server), SECONDS
        yield f"{name} with a wrong certificate", parts.wrong_certificate(server, certificates), SECONDS
    yield "12 who guess passwords", attackers(port, SECONDS), SECONDS
    yield "1,000 slow clients", slow_clients(port), 2.5 * SECONDS


def broker_outages(rabbitmq):
    yield "RabbitMQ stopped", parts.stopped(rabbitmq), SECONDS
    yield "RabbitMQ paused", rabbitmq.paused(), SECONDS


def told(line):
    print(f"| {' | '.join(line)} |", flush=True)


def suffer(site, port, found, options):
    """A line for each outage, told at once."""
    wanted = [each for each in found if options.only.lower() in each[0].lower()]
    with site as served, Visitors(port, list(PAGES)) as visitors:
        for name, outage, seconds in wanted:
            told(row(name, outage, visitors, seconds))
        options.log.write(served.process.output())


def main(options):
    if os.geteuid() != 0:
        sys.exit("outages: only root can fill a disk of its own: sudo ve/bin/python tests/benchmarks/outages.py")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates = parts.Certificates(folder)
        postgres, redis = (stack.enter_context(new(certificates)) for new in (parts.postgres, parts.redis))
        nginx, port = stack.enter_context(front())
        new_site = partial(site, folder, nginx, postgres, redis)
        told(["outage", *PAGES.values(), "seconds to recover"])
        told(["---"] * (len(PAGES) + 2))
        suffer(new_site(redis.url(0)), port, outages(port, postgres, redis, certificates), options)
        rabbitmq = stack.enter_context(new_rabbitmq())
        suffer(new_site(rabbitmq.url()), port, broker_outages(rabbitmq), options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="outages whose name has this word")
    parser.add_argument("--log", type=argparse.FileType("w"), default=os.devnull, help="where the site's log goes")
    main(parser.parse_args())
