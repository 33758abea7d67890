"""The image beside a naive one. Prints ratios.

    python3 tests/benchmarks/image.py [--runs 3] [build] [start]

Needs Docker and a wheelhouse (make wheelhouse). The naive image is one stage: the
same base, a virtualenv, the code, `pip install`, collectstatic; it runs no tests, ours does while it is built.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from side_by_side import report

ROOT = Path(__file__).resolve().parents[2]
NAME = f"slipway-benchmark-{os.getpid()}"
OURS, NAIVE = f"{NAME}:ours", f"{NAME}:naive"
DOCKERFILE = """FROM debian:trixie-slim
RUN apt-get update && apt-get install -y python3-venv && python3 -m venv /ve
ENV PATH=/ve/bin:$PATH DJANGO_SETTINGS_MODULE=project.settings_docker SITE_URL=http://localhost
COPY . /app
WORKDIR /app
RUN pip install -r requirements.txt
RUN SECRET_KEY={key} DATABASE_URL=sqlite://:memory: python manage.py collectstatic --no-input
USER 10001
CMD ["gunicorn", "slipway.wsgi", "--bind=0.0.0.0:8000", "--workers=3", "--threads=4", "--worker-tmp-dir=/dev/shm"]
"""


def run(*words, folder=None, timeout=1800):
    """Returns what it wrote to stdout; ends the benchmark with its output where it fails."""
    done = subprocess.run([str(word) for word in words], cwd=folder, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}:\n{done.stdout[-3000:]}")
    return done.stdout.strip()


def seconds(*words, folder):
    start = time.monotonic()
    run(*words, folder=folder)
    return time.monotonic() - start


# ---- building ----

def ours(folder):
    """Seconds of our build."""
    return seconds("make", "-f", "docker.mk", "build", f"APP={NAME}", "TAG=ours", folder=folder)


def first(folder):
    """Seconds of our first build: no layer of it is there, and no wheelhouse."""
    shutil.rmtree(folder / "wheelhouse")
    made = seconds("make", "-f", "docker.mk", "wheelhouse", f"APP={NAME}", "BUILD_ARGS=--no-cache", folder=folder)
    pins = folder / "wheelhouse/requirements.txt"
    pins.write_text(f"# {secrets.token_hex(8)}: no layer after this is in the cache\n" + pins.read_text())
    return made + ours(folder)


def naive(folder, *options):
    """Seconds of the naive build."""
    return seconds("docker", "build", *options, "--file", "Dockerfile.naive", "--tag", NAIVE, ".", folder=folder)


def prepare(scratch):
    """A clone for each kind, with a wheelhouse for ours. Returns both folders."""
    folders = [scratch / "ours", scratch / "naive"]
    for folder in folders:
        run("git", "clone", "-q", ROOT, folder)
    if (ROOT / "wheelhouse").exists():
        shutil.copytree(ROOT / "wheelhouse", folders[0] / "wheelhouse")
    run("make", "-f", "docker.mk", "wheelhouse", f"APP={NAME}", folder=folders[0])
    (folders[1] / ".dockerignore").write_text(".git\n")
    (folders[1] / "Dockerfile.naive").write_text(DOCKERFILE.format(key=secrets.token_hex(32)))
    return folders


def change(folder):
    """Another line in one Python file."""
    with (folder / "project/home/views.py").open("a") as file:
        file.write(f"# {secrets.token_hex(8)}\n")


def builds(folders, runs):
    report("first build, wheelhouse included", "ours", "naive",
           [(first(folders[0]), naive(folders[1], "--no-cache")) for _ in range(runs)])
    pairs = []
    for _ in range(runs):
        change(folders[0]), change(folders[1])
        pairs.append((ours(folders[0]), naive(folders[1])))
    report("build after one changed line of code", "ours", "naive", pairs)
    report("image size", "ours", "naive", [tuple(megabytes(image) for image in (OURS, NAIVE))], "MB")
    base = megabytes("debian:trixie-slim")
    report("image size over the base", "ours", "naive", [(megabytes(OURS) - base, megabytes(NAIVE) - base)], "MB")


def megabytes(image):
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


# ---- running ----

def settings():
    values = {"SITE_URL": "http://localhost", "SECRET_KEY": secrets.token_hex(32), "WEB_CONCURRENCY": "3",
              "DATABASE_URL": "sqlite:////dev/shm/db.sqlite3"}
    return [f"--env={name}={value}" for name, value in values.items()]


@contextlib.contextmanager
def container(image, *options):
    """Its id, while the block runs."""
    id = run("docker", "run", "--detach", *settings(), *options, image).splitlines()[-1]
    try:
        yield id
    finally:
        run("docker", "rm", "--force", "--volumes", id)


def published(id):
    return int(run("docker", "port", id, "8000").splitlines()[0].rpartition(":")[2])


def first_page(port):
    """Wait for the first 200."""
    deadline = time.monotonic() + 120
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "localhost"})
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as page:
            if page.status == 200:
                return
        time.sleep(0.01)
    raise SystemExit(f"no page on port {port} within 120 s")


def start_up(image):
    """Seconds from `docker run` to the first page."""
    start = time.monotonic()
    with container(image, "--publish=127.0.0.1::8000") as id:
        first_page(published(id))
        return time.monotonic() - start


def starts(runs):
    report("docker run to the first page", "ours", "naive", [(start_up(OURS), start_up(NAIVE)) for _ in range(runs)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("what", nargs="*", metavar="build|start", default=["build", "start"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = prepare(Path(scratch))
        try:
            if "build" in args.what:
                builds(folders, args.runs)
            else:
                ours(folders[0]), naive(folders[1])
            if "start" in args.what:
                starts(args.runs)
        finally:
            subprocess.run(["docker", "image", "rm", "--force", OURS, NAIVE, f"{NAME}-builder"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)


if __name__ == "__main__":
    main()
