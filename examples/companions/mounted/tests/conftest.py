"""A small site with the page, run by gunicorn with one process of four threads, as on a server."""

import os
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import django

from proc import ROOT, free_port, running, wait_until

FOLDER = Path(__file__).resolve().parent
PATH = [str(path) for path in (ROOT, FOLDER / "site", ROOT / "examples/companions/tapemock")]
sys.path += PATH  # slipway, the site, tapemock
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()


@contextmanager
def serving(root):
    """Yield (ask, process) of a site that shows the folder. ask(path) returns an answer with `status` and `read()`."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--worker-class=gthread",
        "--threads=4",
        f"--bind=127.0.0.1:{port}",
        "--keep-alive=0",
        "--graceful-timeout=5",
        "django.core.wsgi:get_wsgi_application()",
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER.parent), *PATH]), "MOUNTED_ROOT": str(root)}

    def ask(path):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-Staff": "1"})
        try:
            return urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            return error

    with running(command, env=env, cwd=FOLDER) as process:
        wait_until(lambda: ask("/plain").status == 200)
        yield ask, process
