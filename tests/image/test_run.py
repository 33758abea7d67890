"""What the image does when it is run: each command of docker-run.sh, under the restrictions of a careful host."""

import json
import urllib.request

import pytest

from engine import docker
from proc import wait_until

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
COMMANDS = ["run", "migrate", "collectstatic", "compress", "shell", "worker", "beat", "manage", "healthcheck", "help"]


def status(url):
    """The status of an answer, also of an error's."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def serving(container, path="/"):
    """Wait until the container's site answers 200."""
    def answers():
        assert container.state()["Running"], container.logs()
        return status(container.url(path)) == 200
    wait_until(answers, 60, f"200 from {path}")


def test_no_settings(one_off):
    """Without settings no site starts: exit 64, and every variable that is needed is named with an example. help lists
    just the commands there are, and so does an unknown one, with exit 64."""
    done = one_off(env=None)
    assert done.returncode == 64 and "Traceback" not in done.stderr
    for example in ("SITE_URL=https://", "SECRET_KEY=", "DATABASE_URL=postgres://"):
        assert example in done.stderr, done.stderr
    done = one_off("help", env=None)
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()[1:]] == COMMANDS
    done = one_off("serve", env=None)
    assert done.returncode == 64 and "'serve'" in done.stderr
    assert all(f"  {command} " in done.stderr for command in COMMANDS), done.stderr


@pytest.mark.parametrize("command", ["migrate", "manage", "worker"])
def test_wrong_settings(one_off, command):
    """Whatever the command, all that is wrong is told at once, and a secret's value never."""
    wrong = {"SITE_URL": "http://shop.example", "SECRET_KEY": "not-long", "DATABASE_URL": "nonsense"}
    done = one_off(command, env=wrong)
    assert done.returncode == 64
    assert all(name in done.stderr for name in wrong), done.stderr
    assert "not-long" not in done.stderr and "nonsense" not in done.stderr and "Traceback" not in done.stderr


def test_quick_start(run_container, data):
    """Three settings, a volume and migrate: the page answers 200, and says which release it is. Unless told otherwise
    it is not root, and may write neither code nor packages."""
    web = run_container(options=data)
    serving(web)
    with urllib.request.urlopen(web.url("/healthz"), timeout=10) as answer:
        assert json.load(answer)["release"] == "release-1"
    assert int(web.execute("id", "-u").stdout) >= 1000
    for path in ("/app/x", "/ve/x"):
        assert web.execute("touch", path, check=False).returncode != 0, path


def test_restricted(run_container, data, one_off):
    """Any user, a read-only root, no capabilities and no new privileges: it migrates, serves and is healthy."""
    assert one_off("migrate", "--check", options=[*data, *RESTRICTED]).returncode == 0
    web = run_container(options=[*data, *RESTRICTED, "--health-interval=1s", "--health-start-period=0s"])
    serving(web)
    wait_until(lambda: web.state()["Health"]["Status"] == "healthy", 60)
    assert web.execute("id", "-u").stdout == "54321"


def test_stop(run_container, data, volume):
    """`docker stop` ends an idle site as it should, with exit 0. What is started anew begins anew, also where its
    memory outlives it."""
    web = run_container(options=[*data, f"--volume={volume}:/dev/shm", "--user=0"])
    serving(web)
    web.execute("touch", "/dev/shm/been-ready")
    docker("stop", web.id)
    assert web.state()["ExitCode"] == 0
    docker("start", web.id)
    serving(web)
    assert web.execute("test", "-e", "/dev/shm/been-ready", check=False).returncode == 1


def test_socket(run_container, data):
    """$SOCKET makes it listen on a unix socket, which another user such as nginx may connect to."""
    web = run_container(options=[*data, "--tmpfs=/run/site:mode=1777"], env={"SOCKET": "/run/site/web.sock"})
    web.says("Listening at: unix:/run/site/web.sock")
    wait_until(lambda: web.execute("/app/docker-run.sh", "healthcheck", check=False).returncode == 0, 60)
    ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/site/web.sock')"
    assert docker("exec", "--user=33:33", web.id, "python", "-c", ask, check=False).returncode == 0


def test_settings_file(image, settings, data, tmp_path):
    """Settings that are in a file alone, as an engine's secret: for the site, which is the first process and heeds a
    stop, for its healthcheck, and for what is run beside it."""
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


def test_compress(one_off, tmp_path):
    """compress runs django-compressor where there is one; without it there is nothing to do, which is no fault."""
    done = one_off("compress", env=None)
    assert (done.returncode, done.stdout) == (0, "compress: nothing to compress, no django-compressor"), done.stderr
    command = tmp_path / "compressor/management/commands/compress.py"
    command.parent.mkdir(parents=True)
    command.write_text(COMPRESSOR)
    (tmp_path / "settings_compressor.py").write_text(
        "from project.settings_docker import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'compressor']\n")
    options = [f"--volume={tmp_path / name}:/app/{name}:ro" for name in ("compressor", "settings_compressor.py")]
    done = one_off("compress", env={"DJANGO_SETTINGS_MODULE": "settings_compressor"}, options=options)
    assert (done.returncode, done.stdout) == (0, "compressed by force"), done.stderr
