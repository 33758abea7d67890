"""The site as on a developer's machine, in a scratch copy, and a headless Chromium that visits it."""

import io
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Debugging
from playwright.sync_api import sync_playwright

from browser.served import Served
from proc import ROOT, free_port, output, running, wait_until

LEFT_OUT = shutil.ignore_patterns("ve", "ve.lock", "var", ".git", ".env", "wheelhouse", "__pycache__", "node_modules")
QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = {1280: 900, 390: 844}  # of a desktop and of a phone, each with its height
PASSWORD = "a ship in a bottle"


class Site:
    """A scratch copy of the project with a database of its own and a superuser `ann`."""

    def __init__(self, folder, mail_port):
        self.folder, self.mails = folder, io.StringIO()
        self.env = {
            **os.environ,
            "VE": sys.prefix,
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "PYTHONUNBUFFERED": "1",
            "DEBUG_TOOLBAR": "false",
        }
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        (folder / "project/settings_deployed.py").write_text(
            "from .settings import *\nDEBUG, STAFF_NEED_MFA = False, True\n"
            f"EMAIL_BACKEND, EMAIL_PORT = 'django.core.mail.backends.smtp.EmailBackend', {mail_port}\n"
        )
        self.manage("migrate")
        self.manage("createsuperuser", "--noinput", "--username=ann", "--email=ann@example.org")

    def manage(self, *words):
        output([sys.executable, "manage.py", *words], cwd=self.folder, env=self.env)

    def celery(self, *words):
        """Run a worker or beat for the block."""
        return running([sys.executable, "-m", "celery", "-A", "project", *words], cwd=self.folder, env=self.env)

    def server(self, port, *words, **env):
        return running(
            [sys.executable, "manage.py", "runserver", "--noreload", *words, str(port)],
            cwd=self.folder,
            env={**self.env, **env},
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("browser") / "a site", port := free_port())
    server = Controller(Debugging(site.mails), "127.0.0.1", port)
    server.start()
    yield site
    server.stop()


def serve(site, *words, **env):
    """Yield the address of a server that answers."""
    port = free_port()
    url = f"http://localhost:{port}"
    with site.server(port, *words, **env) as process:
        # The first answer takes long, and a part that is late would be shown as down.
        wait_until(lambda: urlopen(f"{url}/readyz", timeout=30).status == 200, 120, process.output)
        yield url


@pytest.fixture(scope="session")
def development(site):
    """Yield the address of the site as `make runserver` serves it."""
    yield from serve(site)


@pytest.fixture(scope="session")
def deployed(site):
    """Yield the address of the site with DEBUG off, as visitors see it."""
    yield from serve(site, "--insecure", DJANGO_SETTINGS_MODULE="project.settings_deployed")


@pytest.fixture(scope="session")
def chromium():
    assert CHROMIUM and Path(CHROMIUM).exists(), "no Chromium here: install it, or name it by CHROMIUM=/path"
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + sandbox)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Yield a function that opens an address at a width. At the end, no page may have had an error in a script or on
    the console, a break of the Content-Security-Policy included, or a request to another site."""
    problems, contexts = [], []

    def visit(url, width, scheme="light", expected=()):
        contexts.append(chromium.new_context(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: problems.append(f"script: {error}"))
        page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning")
                and not any(text in message.text for text in expected)
                and problems.append(f"console: {message.text}")
            ),
        )
        page.on(
            "request",
            lambda request: (
                urlsplit(request.url).netloc == urlsplit(url).netloc or problems.append(f"another site: {request.url}")
            ),
        )
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


def check_looks(page):
    """Assert that the stylesheet and the pictures are loaded, and that nothing is wider than the window."""
    family = page.evaluate("getComputedStyle(document.body).fontFamily")
    assert "system-ui" in family, family
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"


@pytest.fixture
def served():
    """Yield the server of a page of `slipway view`."""
    served = Served()
    yield served
    served.close()
