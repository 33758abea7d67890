"""Twelve who guess passwords at once take neither the memory nor the threads of the site."""

import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops.served import serve

from proc import ROOT, VE_PYTHON, run

PAGE = "/admin/login/"
SETTINGS = """
DEBUG = False
ALLOWED_HOSTS = ["*"]
"""


def resident(site):
    """Bytes that the workers hold."""
    pids = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split()
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 for pid in pids)


def guess(site, number, until):
    """The statuses that one gets who tries a name after another, each with a form of its own."""
    statuses = []
    while time.monotonic() < until:
        page = site.get(PAGE, unix=True)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body.decode())[1]
        body = f"csrfmiddlewaretoken={token}&username=name{len(statuses)}&password=guess".encode()
        connection = site.connection(unix=True)
        connection.request("POST", PAGE, body, {
            "Cookie": page.headers["Set-Cookie"].partition(";")[0], "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": f"192.0.2.{number}"})
        statuses.append(connection.getresponse().status)
    return statuses


@pytest.mark.alone
def test_twelve_attackers(postgres, site_folder):
    """While they go on, each gets an answer, a worker holds but for a little what it held before, and other visitors
    are answered."""
    with serve(site_folder, SETTINGS, DATABASE_URL=postgres.url(postgres.database())) as site:
        guess(site, 99, time.monotonic() + 0.5)  # what has to be loaded is
        before, most, visitors, until = resident(site), 0, [], time.monotonic() + 3
        with ThreadPoolExecutor(12) as pool:
            attackers = [pool.submit(guess, site, number, until) for number in range(12)]
            while time.monotonic() < until:
                visitors.append(site.get("/healthz", unix=True).seconds)
                most = max(most, resident(site))
        statuses = [status for attacker in attackers for status in attacker.result()]
        assert set(statuses) == {200, 429} and len(statuses) >= 12, "some get a seat, and nobody waits for one"
        assert most - before < 110_000_000, f"{(most - before) / 1e6:.0f} MB more"
        assert statistics.median(visitors) < 1, visitors
        log = site.process.output()
    assert log.count("sign-in failed: account none of ours, from 192.0.2.") >= 12


def test_a_failure_is_told_of_without_axes_too(sqlite_url, site_folder):
    """A team that takes the lock away keeps the line in the log."""
    (site_folder / "scratch_settings.py").write_text("from project.settings import *\nAXES_ENABLED = False\n")
    done = run([VE_PYTHON, ROOT / "manage.py", "shell", "-c",
                "from django.contrib.auth import authenticate; authenticate(username='name', password='guess')"], env={
        **os.environ, "PYTHONPATH": str(site_folder), "DJANGO_SETTINGS_MODULE": "scratch_settings",
        "DATABASE_URL": sqlite_url})
    assert "sign-in failed: account none of ours, from None" in done.stderr and done.returncode == 0, done.stderr
