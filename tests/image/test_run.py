"""What the image does when it is run: each command of docker-run.sh, under the restrictions of a careful host."""

import json
import time
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
    """Without settings nothing starts: exit 64, and every variable that is needed is named with an example."""
    done = one_off(env=None)
    assert done.returncode == 64
    for example in ("SITE_URL=https://", "SECRET_KEY=", "DATABASE_URL=postgres://"):
        assert example in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run", "migrate", "shell", "manage", "worker", "beat"])
def test_wrong_settings(one_off, command):
    """Whatever the command, all that is wrong is told at once, and a secret's value never."""
    wrong = {"SITE_URL": "http://shop.example", "SECRET_KEY": "not-long", "DATABASE_URL": "nonsense"}
    done = one_off(command, env=wrong)
    assert done.returncode == 64
    assert all(name in done.stderr for name in wrong), done.stderr
    assert "not-long" not in done.stderr and "nonsense" not in done.stderr and "Traceback" not in done.stderr


def test_unknown_command(one_off):
    """An unknown command lists the known ones and exits 64, also without settings."""
    done = one_off("serve", env=None)
    assert done.returncode == 64 and "'serve'" in done.stderr
    assert all(f"  {command} " in done.stderr for command in COMMANDS), done.stderr


def test_help(one_off):
    """help lists just the commands there are."""
    done = one_off("help", env=None)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == COMMANDS


def test_quick_start(run_container, data):
    """Three settings, a volume and migrate: the page answers 200, and says which release it is."""
    web = run_container(options=data)
    serving(web)
    with urllib.request.urlopen(web.url("/healthz"), timeout=10) as answer:
        assert json.load(answer)["release"] == "release-1"


def test_restricted(run_container, data, one_off):
    """Any user, a read-only root, no capabilities and no new privileges: it migrates, serves and is healthy."""
    assert one_off("migrate", "--check", options=[*data, *RESTRICTED]).returncode == 0
    web = run_container(options=[*data, *RESTRICTED, "--health-interval=1s", "--health-start-period=0s"])
    serving(web)
    wait_until(lambda: web.state()["Health"]["Status"] == "healthy", 60)
    assert web.execute("id", "-u").stdout == "54321"


def test_own_user(one_off):
    """Unless told otherwise it is not root, and may write neither code nor packages."""
    done = one_off("-c", "id -u; touch /app/x /ve/x", options=["--entrypoint=sh"])
    assert int(done.stdout) >= 1000 and done.returncode != 0


def test_stop(run_container, data):
    """`docker stop` of an idle site takes less than 2 s, and it ends as it should. The best of five counts, as others
    may be using this machine."""
    web, seconds = run_container(options=data), []
    while len(seconds) < 5 and min(seconds, default=9) >= 2:
        serving(web)
        start = time.monotonic()
        docker("stop", web.id)
        seconds.append(time.monotonic() - start)
        assert web.state()["ExitCode"] == 0
        docker("start", web.id)
    assert min(seconds) < 2, seconds


def test_drain(run_container, data):
    """With DRAIN it goes on after TERM, which is its first process's, and a second one ends it."""
    web = run_container(options=data, env={"DRAIN": "3600"})
    serving(web)
    docker("kill", "--signal=TERM", web.id)
    web.says("Going on for 3600 s")
    assert status(web.url()) == 200
    docker("kill", "--signal=TERM", web.id)
    assert docker("wait", web.id).stdout == "0"


def test_port(run_container, data):
    """$PORT says where to listen."""
    web = run_container(options=[*data, "--publish=127.0.0.1::9000"], env={"PORT": "9000"})
    wait_until(lambda: status(f"http://127.0.0.1:{web.port(9000)}/") == 200, 60)
    assert web.execute("/app/docker-run.sh", "healthcheck").returncode == 0


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


def test_healthcheck_fails(run_container, data):
    """A site that does not answer is not healthy, with a line that says why."""
    web = run_container(options=data, env={"WEB_CONCURRENCY": "1"})
    serving(web)
    web.execute("python", "-c", "import os, signal; os.kill(1, signal.SIGSTOP)", check=False)
    docker("exec", "--user=0", web.id, "python", "-c", "import pathlib, os, signal\n"
           "for p in pathlib.Path('/proc').glob('[0-9]*'):\n"
           "    if b'slipway.web.gunicorn' in (p / 'cmdline').read_bytes() and int(p.name) != os.getpid():\n"
           "        os.kill(int(p.name), signal.SIGSTOP)")
    done = web.execute("/app/docker-run.sh", "healthcheck", check=False)
    assert done.returncode == 1 and "does not answer" in done.stderr


def test_healthcheck_ready(run_container, volume):
    """One check for start and life: /readyz until that has answered 200 once, from then on /healthz. A container that
    is started anew begins anew, also where its memory outlives it."""
    web = run_container(options=[f"--volume={volume}:/dev/shm", "--user=0"],
                        env={"DATABASE_URL": "sqlite:////data/folder/db.sqlite3"})

    def ready():
        done = web.execute("./docker-run.sh", "healthcheck", "ready", check=False)
        return done.stderr.strip() or done.returncode

    serving(web, "/healthz")
    assert ready() == "healthcheck: /readyz answers 503"
    web.execute("mkdir", "/data/folder")
    web.execute("./docker-run.sh", "migrate")
    wait_until(lambda: ready() == 0)
    web.execute("rm", "-r", "/data/folder")
    wait_until(lambda: status(web.url("/readyz")) == 503)
    assert ready() == 0
    docker("restart", web.id)
    serving(web, "/healthz")
    assert ready() == "healthcheck: /readyz answers 503"


def test_healthcheck_of_any_other_command(run_container, data):
    """A daemon of a team's own is healthy as long as it runs."""
    daemon = run_container("manage", "shell", "-c", "import time; time.sleep(600)", options=data)
    assert daemon.execute("/app/docker-run.sh", "healthcheck").returncode == 0
    ready = [daemon.execute("/app/docker-run.sh", "healthcheck", "ready", f"seconds {number}", check=False).returncode
             for number in (9999, 0, 9999)]
    assert ready == [1, 0, 0]


def test_shell(one_off, data):
    """shell has the project loaded."""
    done = one_off("shell", "-c", "from project.accounts.models import User; print(User.objects.count())", options=data)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0"), done.stderr


def test_manage(one_off, data):
    """manage runs any command; check --deploy has nothing to say."""
    done = one_off("manage", "check", "--deploy", "--fail-level=WARNING", options=data,
                   env={"SITE_URL": "https://shop.example"})
    assert done.returncode == 0, done.stderr
    assert "2 silenced" in done.stdout


def test_collectstatic(one_off, volume):
    """collectstatic adds the release's files to a folder: hashed names, no manifest, nothing there is touched."""
    options = [f"--volume={volume}:/static", "--user=0"]
    first = one_off("collectstatic", "/static", env=None, options=options)
    assert first.returncode == 0, first.stderr
    look = "cd /static && find . -type f | sort; cat /app/static-root/staticfiles.json"
    listed, _, manifest = one_off("-c", look, env=None, options=[*options, "--entrypoint=sh"]).stdout.partition("\n{")
    files = {line.removeprefix("./") for line in listed.splitlines()}
    hashed = set(json.loads("{" + manifest)["paths"].values())
    assert hashed <= files and {name.removesuffix(".gz") for name in files} == hashed
    one_off("-c", "cd /static && echo kept >old.0123.css && echo kept >$(ls favicon*.svg)", env=None,
            options=[*options, "--entrypoint=sh"])
    second = one_off("collectstatic", "/static", env=None, options=options)
    assert second.returncode == 0 and second.stdout.startswith("collectstatic: 0 of "), second.stdout
    kept = one_off("-c", "cat /static/old.0123.css /static/favicon*.svg", env=None,
                   options=[*options, "--entrypoint=sh"])
    assert kept.stdout == "kept\nkept"


def test_collectstatic_refused(one_off):
    """A folder that cannot be written, or two, is one line and no success; none is told what it is for."""
    done = one_off("collectstatic", env=None)
    assert done.returncode == 0 and len(done.stdout.strip().splitlines()) == 1, done.stderr
    for words in (["/nowhere/to/go"], ["/tmp/one", "/tmp/two"]):
        done = one_off("collectstatic", *words, env=None)
        assert done.returncode != 0 and done.stderr.startswith("collectstatic: "), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


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


def test_own_command(one_off, tmp_path):
    """An executable file in docker-run.d is a command, with its second line in the help; others are not."""
    own = tmp_path / "greet"
    own.write_text("#!/bin/sh\n# NAME: say hello\necho \"hello $1\"\n")
    own.chmod(0o755)
    (tmp_path / "notes").write_text("not for running\n")
    (tmp_path / "notes").chmod(0o644)
    tmp_path.chmod(0o755)
    mounted = [f"--volume={tmp_path / file}:/app/docker-run.d/{file}:ro" for file in ("greet", "notes")]
    done = one_off("greet", "you", env=None, options=mounted)
    assert (done.returncode, done.stdout) == (0, "hello you"), done.stderr
    listed = one_off("help", env=None, options=mounted).stdout
    assert "  greet          NAME: say hello" in listed and "notes" not in listed
    assert one_off("notes", env=None, options=mounted).returncode == 64
