"""One image for all tests here, built from a copy of the checkout. It and its containers are removed at the end."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

import pytest

from checkout import take_files
from engine import Container, docker
from proc import ROOT, put, put_into_git, run

BUILD = 1800  # seconds for a build on a slow machine


class Builder:
    """make build with one of Docker's two builders."""

    def __init__(self, name, binary):
        self.name, self.binary = name, binary
        self.env = {**os.environ, "DOCKER_BUILDKIT": "1" if name == "buildkit" else "0", "BUILDKIT_PROGRESS": "plain"}

    def make(self, folder, *words):
        """Run make in the folder. Return the finished process, with all output in stdout."""
        done = run(["make", "-f", "docker.mk", f"DOCKER={self.binary}", *words], BUILD, cwd=folder, env=self.env)
        done.stdout += done.stderr
        return done


def can_build(binary, folder):
    """Return True if this client builds with BuildKit; newer clients need a plugin for it."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return binary and run([binary, "build", "--quiet", folder], env=env).returncode == 0


@pytest.fixture(scope="session")
def builders(tmp_path_factory):
    """Return {name: Builder} of this machine's builders."""
    found = {"classic": Builder("classic", "docker")}
    binaries = ["docker", shutil.which("docker", path="/usr/bin")]
    folder = tmp_path_factory.mktemp("buildkit")
    if binary := next((binary for binary in binaries if can_build(binary, folder)), None):
        found["buildkit"] = Builder("buildkit", binary)
    return found


@pytest.fixture(params=["classic", "buildkit"])
def builder(request, builders):
    """Return each of the two builders in turn."""
    if request.param not in builders:
        pytest.skip("this machine's docker has no BuildKit: it needs the buildx plugin")
    return builders[request.param]


@pytest.fixture(scope="session")
def name():
    """Yield this run's own name for images. At the end, remove all its tags."""
    name = f"slipway-test-{os.getpid()}-{secrets.token_hex(3)}"
    yield name
    for image in (name, f"{name}-builder"):
        for tag in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", image).stdout.split():
            docker("image", "rm", "--force", tag)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the checkout, git's files and untracked ones and any wheelhouse, as a repository in a path with a
    space. The image is built from it; tests change copies of it."""
    folder = tmp_path_factory.mktemp("a check out")
    for path in take_files(folder):
        path.chmod(path.stat().st_mode & 0o700)  # as under a strict umask
    if (ROOT / "wheelhouse").exists():
        shutil.copytree(ROOT / "wheelhouse", folder / "wheelhouse")
    put_into_git(folder)
    return folder


@pytest.fixture
def project(checkout, image, tmp_path):
    """Return a copy of the image's sources, with the wheelhouse, which a test may change."""
    return shutil.copytree(checkout, tmp_path / "pro ject", symlinks=True)


@pytest.fixture(scope="session")
def image(builders, checkout, name):
    """Build the image. Files planted beside and in the project must not get into it. Return its tag."""
    for path in (".env", "project/.env", "id_rsa", "project/db.sqlite3", "var/db.sqlite3"):
        put(checkout / path, "planted-secret\n")
    put(checkout / "project/locale/de/LC_MESSAGES/django.po", 'msgid "A ship"\nmsgstr "Ein Schiff"\n')
    done = builders["classic"].make(checkout, "build", f"IMAGE={name}", "TAG=release-1")
    assert done.returncode == 0, done.stdout
    return f"{name}:release-1"


@pytest.fixture(scope="session")
def settings():
    """Return the minimal settings to run the image, for `docker run --env`."""
    return {
        "SITE_URL": "http://localhost:8000",
        "SECRET_KEY": secrets.token_hex(25),
        "DATABASE_URL": "sqlite:////data/db.sqlite3",
    }


@contextlib.contextmanager
def containers(image, settings):
    """Yield a function start(*command, options=(), env={}) that returns a Container with `settings` and its own port.
    Remove all containers at the end."""
    with contextlib.ExitStack() as stack:

        def start(*command, options=(), env=None):
            flags = [f"--env={key}={value}" for key, value in {**settings, **(env or {})}.items()]
            done = docker("run", "--detach", "--publish=127.0.0.1::8000", *flags, *options, image, *command)
            stack.callback(docker, "rm", "--force", "--volumes", done.stdout)
            return Container(done.stdout)

        yield start


@pytest.fixture
def run_container(image, settings):
    """Yield the function of `containers`. Its containers are removed after the test."""
    with containers(image, settings) as start:
        yield start


@pytest.fixture
def one_off(image, settings):
    """Return one_off(*command, options=(), **env), which runs a command to its end."""

    def finish(*command, options=(), **env):
        flags = [f"--env={key}={value}" for key, value in {**settings, **env}.items()]
        return docker("run", "--rm", *flags, *options, image, *command, check=False)

    return finish


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """Return options that mount a team's app, shop/; its settings are shop.settings."""
    folder = shutil.copytree(
        Path(__file__).with_name("shop"),
        tmp_path_factory.mktemp("shop") / "shop",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o755)
    return [f"--volume={folder}:/app/shop:ro"]


@contextlib.contextmanager
def new_volume():
    """Yield the name of an empty volume. At the end, remove it with the containers that still use it."""
    made = docker("volume", "create").stdout
    try:
        yield made
    finally:
        for container in docker("ps", "--all", "--quiet", f"--filter=volume={made}").stdout.split():
            docker("rm", "--force", container)
        docker("volume", "rm", "--force", made)


@pytest.fixture
def volume():
    """Yield the name of an empty volume."""
    with new_volume() as made:
        yield made


@pytest.fixture(scope="session")
def data(image, settings):
    """Yield options that mount a volume with a migrated SQLite database at /data, shared by all read-only tests."""
    with new_volume() as made:
        flags = [f"--env={key}={value}" for key, value in settings.items()]
        docker("run", "--rm", *flags, f"--volume={made}:/data", image, "migrate")
        yield [f"--volume={made}:/data"]
