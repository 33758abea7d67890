"""Local Postgres and (if pinned) Redis for development. `services` starts them and writes their URLs to .env.
`services-down` stops them and removes the URLs, not Postgres's data. Needs Python 3.9."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from slipway import envfile
from slipway.lasting.files import write_replace
from slipway.make import image

COMPOSE = """
services:
  db:
    image: postgres:17
    environment: {POSTGRES_USER: app, POSTGRES_DB: app, POSTGRES_PASSWORD: app}
    ports: ["127.0.0.1:5432:5432"]
    volumes: ["db:/var/lib/postgresql/data"]
  redis:
    image: redis:7
    ports: ["127.0.0.1:6379:6379"]
volumes: {db: {}}
"""
URLS = {
    "db": {"DATABASE_URL": "postgres://app:app@127.0.0.1:5432/app"},
    "redis": {"CACHE_URL": "redis://127.0.0.1:6379/1", "BROKER_URL": "redis://127.0.0.1:6379/0"},
}
ASKS = {"db": ("pg_isready", "-q", "-U", "app", "-h", "127.0.0.1"), "redis": ("redis-cli", "ping")}
FILE, ENV = Path("var/services.yaml"), Path(".env")


def main(action: str, env: Mapping[str, str]) -> None:
    image.engine(env)
    app = env["APP"]
    command = [*image.compose(env), "--project-name", f"{app}-services", "--file", str(FILE)]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(COMPOSE)
    has_redis = re.search("^redis==", Path(env["REQUIREMENTS"]).read_text("utf-8", "replace"), re.MULTILINE)
    names = ["db", "redis"] if has_redis else ["db"]
    urls = {name: url for service in names for name, url in URLS[service].items()}
    variables, problems = envfile.read_file(ENV)
    others = [name for name in urls if (os.environ.get(name) or variables.get(name) or urls[name]) != urls[name]]
    if action == "services-down":
        run(command, "down")
        write_env({}, [name for name in urls if variables.get(name) == urls[name]])
        print("make: stopped, and removed the URLs from .env; the data stays in Docker's volume", f"{app}-services_db")
    elif problems or others:
        sys.exit(
            "make: "
            + [
                *problems,
                f"to use these services, remove your own {' and '.join(others)} from .env or the environment",
            ][0]
        )
    else:
        run(command, "up", "--detach", *names)
        for name in names:
            image.wait(command, name, ASKS[name], "60", name)
        write_env(urls, [])
        print(f"make: {' and '.join(names)} answer; .env names {', '.join(urls)}; next: make migrate")


def run(command: list[str], *words: str) -> None:
    if subprocess.call([*command, *words]):
        sys.exit(f"make: Docker Compose failed, see above: {shlex.join(words)}")


def write_env(values: dict[str, str], unset: list[str]) -> None:
    if not values and not unset:
        return
    path = ENV.resolve()
    text, mode = (path.read_text("utf-8"), path.stat().st_mode & 0o777) if path.exists() else ("", 0o600)
    if (new := envfile.changed(text, values, unset)) != text:
        write_replace(path, new, mode)


if __name__ == "__main__":
    main(sys.argv[1], os.environ)
