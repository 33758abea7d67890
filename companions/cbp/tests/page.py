"""A page that asks Redis and Postgres, each over a new connection, with the timeouts that one would set. Run by the
project's Python: page.py HOST REDIS POSTGRES; for each line of stdin it prints the seconds it took, and what failed."""

import sys
import time

import psycopg2
import redis

TIMEOUT = 2  # seconds


def ask_redis(host, port):
    redis.Redis(host, port, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT, retry=None).ping()


def ask_postgres(host, port):
    psycopg2.connect(host=host, port=port, user="slip", dbname="postgres", connect_timeout=TIMEOUT).close()


if __name__ == "__main__":
    host, *ports = sys.argv[1:]
    for _ in sys.stdin:
        began, failed = time.monotonic(), []
        for ask, port in zip((ask_redis, ask_postgres), ports):
            try:
                ask(host, int(port))
            except (redis.RedisError, psycopg2.Error):
                failed.append(ask.__name__.removeprefix("ask_"))
        print(f"{time.monotonic() - began:.3f}", *failed, flush=True)
