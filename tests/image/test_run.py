"""Tests of running the image: each command of docker-run.sh, under the restrictions of a careful host."""

import json
import urllib.request

from documented import block
from engine import Container, docker
from load import ask
from proc import ROOT, output, put, wait_until

from .conftest import containers

RESTRICTED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=54321:54321"]
COMPRESSOR = """
from django.core.management import BaseCommand

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--force", action="store_true", required=True)

    def handle(self, **options):
        print("compressed by force")
"""


def serving(container):
    """Wait until the container's site answers 200."""

    def answers():
        assert container.state()["Running"], container.logs()
        return ask(container.port(), "/", 0, 10).outcome == "200"

    wait_until(answers, 60, "a page")


def test_quick_start(image, volume, tmp_path):
    """As docs/image.md says: with three settings, a volume and migrate, the page answers 200 and the release is known.
    By default the process is not root, and can write neither code nor packages."""
    typed = block(ROOT / "docs/image.md", "cat >try.env").replace("APP:TAG", image).replace("try:/", f"{volume}:/")
    started = output(["sh", "-ec", typed.replace("-p 8000:8000", "-dp 127.0.0.1::8000")], cwd=tmp_path)
    web = Container(started.split()[-1])
    serving(web)
    with urllib.request.urlopen(web.url("/healthz"), timeout=10) as answer:
        assert json.load(answer)["release"] == "release-1"
    assert int(web.execute("id", "-u").stdout) >= 1000
    for path in ("/app/x", "/ve/x"):
        assert web.execute("touch", path, check=False).returncode != 0, path


def test_restricted(run_container, data, one_off):
    """With any user, a read-only root, no capabilities and no new privileges, it migrates, serves and is healthy."""
    assert one_off("migrate", "--check", options=[*data, *RESTRICTED]).returncode == 0
    web = run_container(options=[*data, *RESTRICTED, "--health-interval=1s", "--health-start-period=0s"])
    serving(web)
    wait_until(lambda: web.state()["Health"]["Status"] == "healthy", 60)
    assert web.execute("id", "-u").stdout == "54321"


def test_stop(run_container, data, volume):
    """`docker stop` ends an idle site cleanly, with exit 0. A container that is started again forgets its readiness,
    even if /dev/shm is kept."""
    web = run_container(options=[*data, f"--volume={volume}:/dev/shm", "--user=0"])
    serving(web)
    web.execute("touch", "/dev/shm/been-ready")
    assert web.stop() == 0
    docker("start", web.id)
    serving(web)
    assert web.execute("test", "-e", "/dev/shm/been-ready", check=False).returncode == 1


def test_settings_file(image, settings, data, tmp_path):
    """A SETTINGS_FILE, as an engine's secret, gives settings to the site, which is the first process and obeys a stop,
    to its healthcheck, and to commands beside it."""
    (tmp_path / "settings").write_text("".join(f"{name}={value}\n" for name, value in settings.items()) + "PORT=9000\n")
    tmp_path.chmod(0o755)
    options = [*data, *RESTRICTED, f"--volume={tmp_path}:/run/secrets:ro"]
    with containers(image, {"SETTINGS_FILE": "/run/secrets/settings"}) as start:
        web = start(options=options)
        web.says("Listening at: http://0.0.0.0:9000")
        wait_until(lambda: web.execute("./docker-run.sh", "healthcheck", check=False).returncode == 0, 60)
        assert web.execute("./docker-run.sh", "manage", "migrate", "--check").returncode == 0
        assert web.execute("python", "manage.py", "check", check=False).returncode == 64
        assert web.stop() == 0


def test_compress(one_off, image, tmp_path):
    """compress runs django-compressor if it is installed; otherwise there is nothing to do, which is no error."""
    done = docker("run", "--rm", image, "compress")
    assert (done.returncode, done.stdout) == (0, "compress: nothing to do without django-compressor"), done.stderr
    put(tmp_path / "compressor/management/commands/compress.py", COMPRESSOR)
    (tmp_path / "settings_compressor.py").write_text(
        "from project.settings_docker import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'compressor']\n"
    )
    options = [f"--volume={tmp_path / name}:/app/{name}:ro" for name in ("compressor", "settings_compressor.py")]
    done = one_off("compress", options=options, DJANGO_SETTINGS_MODULE="settings_compressor")
    assert (done.returncode, done.stdout) == (0, "compressed by force"), done.stderr
