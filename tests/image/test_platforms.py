"""The image as platforms start it, by the files that `make manifests` writes for them."""

import socket
import time
import tomllib

import pytest
import yaml

from proc import ROOT, wait_until
from image.test_run import status

MADE = ROOT / "tests/engines/golden"
AS_THERE = ["--read-only", "--tmpfs=/tmp", "--user=54321:54321", "--cap-drop=ALL", "--publish=127.0.0.1::5000"]


def words(platform):
    """(its entrypoint or None for the image's, what comes after) for the site."""
    if platform == "fly":
        return None, tomllib.loads((MADE / "fly/fly.toml").read_text())["processes"]["web"].split()
    if platform == "cloudrun":
        said = yaml.safe_load((MADE / "cloudrun/service.yaml").read_text())
        return None, said["spec"]["template"]["spec"]["containers"][0]["args"]
    if platform == "render":
        said = yaml.safe_load((MADE / "render/render.yaml").read_text())
        return None, said["services"][0]["dockerCommand"].split()
    return "/bin/sh", ["-c", yaml.safe_load((MADE / "heroku/heroku.yml").read_text())["run"]["web"]["command"][0]]


@pytest.mark.parametrize("platform", ["fly", "cloudrun", "render", "heroku"])
def test_a_platform_starts_it(run_container, platform):
    """It listens on PORT, as any user and with nothing to write to but memory; the site is up once it is migrated, and
    ends within 10 s of TERM, though a client holds a connection open."""
    entrypoint, command = words(platform)
    env = {"PORT": "5000", "DATABASE_URL": "sqlite:////tmp/db.sqlite3"}
    options = AS_THERE + ([f"--entrypoint={entrypoint}"] if entrypoint else [])
    web = run_container(*command, options=options, env=env)
    url = f"http://127.0.0.1:{web.port(5000)}"
    wait_until(lambda: status(f"{url}/readyz") == 503, 60, "it listens, and waits for its migrations")
    assert web.execute("/app/docker-run.sh", "migrate").returncode == 0
    wait_until(lambda: status(f"{url}/readyz") == 200, 30, "it is ready")
    with socket.create_connection(("127.0.0.1", web.port(5000))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(9)
        start = time.monotonic()
        assert web.stop() == 0 and time.monotonic() - start < 10
