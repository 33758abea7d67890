"""What `make kind` rolls out, as far as an engine alone can show it: its settings, its bad releases, its visitor."""

import json
import urllib.error
import urllib.request

import pytest

from engine import docker
from proc import ROOT, wait_until

KIND = ROOT / "tests/kind"
AS_THERE = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
DATABASE = {"DATABASE_URL": "sqlite:////tmp/db.sqlite3", "BROKER_URL": ""}


@pytest.fixture
def start(image, name, run_container):
    """start(release): a container of it, and what it answers at a path: (status, JSON)."""
    env = {**dict(line.split("=", 1) for line in (KIND / "settings.env").read_text().splitlines()), **DATABASE}

    def started(release):
        if release != "build-1":
            docker("build", "--tag", f"{name}:{release}", "--build-arg", f"GOOD={image}", "--build-arg",
                   f"FAULT={release}", KIND / "bad")
        of = image if release == "build-1" else f"{name}:{release}"
        made = run_container("run", options=AS_THERE, env=env, of=of)
        return made, lambda path: ask(made.url(path))
    return started


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_one_that_crashes(start):
    """As soon as it starts; its migrations are none of its troubles."""
    made, _ = start("crash")
    wait_until(lambda: not made.state()["Running"], 30, "it has ended")
    assert made.state()["ExitCode"] == 1 and "told to end" in made.logs()


def test_one_that_never_gets_ready(start):
    """It lives, and says which release it is, or no visitor could tell that it met it."""
    _, answers = start("unready")
    wait_until(lambda: answers("/healthz")[0] == 200, 60, "it lives")
    assert answers("/healthz")[1]["release"] == "unready"
    assert answers("/readyz")[0] == 503


def test_a_good_one_and_its_visitor(start):
    """With the settings of there it gets ready, and the visitor is answered well."""
    made, answers = start("build-1")
    wait_until(lambda: answers("/healthz")[0] == 200, 60, "it lives")
    assert made.execute("./docker-run.sh", "migrate").returncode == 0
    wait_until(lambda: answers("/readyz")[0] == 200, 30, "it is ready")
    script = (KIND / "visitor.py").read_text()
    lines = made.execute("timeout", "3", "python", "-c", script, "localhost:8000", "shop.example",
                         check=False).stdout.splitlines()
    assert lines and {line.split(maxsplit=1)[1] for line in lines} == {"200 release-1"}
