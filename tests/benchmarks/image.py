"""Compare the image with a naive one. Print ratios.

    ve/bin/python tests/benchmarks/image.py [--runs 3] [changes] [build] [start]

This needs Docker. Both are projects of the last commit. The naive image has one stage: the same base, a virtualenv, the
code, `pip install`, collectstatic. Its build runs no tests, ours does.
"""

import argparse
import collections
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

sys.path[:0] = [str(folder) for folder in Path(__file__).resolve().parents[1:3]]
import wheels  # noqa: E402
from checkout import Project  # noqa: E402
from engine import Container, docker  # noqa: E402
from proc import ROOT, UV, append, output, passed, wait_until  # noqa: E402
from side_by_side import report  # noqa: E402

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
PINNED = ("whitenoise==6.9.0", "whitenoise==6.10.0")
WHO = ("-c", "user.name=A", "-c", "user.email=a@example.com")
SETTINGS = {
    "SITE_URL": "http://localhost",
    "SECRET_KEY": secrets.token_hex(32),
    "WEB_CONCURRENCY": "3",
    "DATABASE_URL": "sqlite:////dev/shm/db.sqlite3",
}


def seconds(*words, folder):
    """Run a command and return its seconds. If it fails, end the benchmark with its output."""
    start = time.monotonic()
    output(words, 1800, cwd=folder)
    return time.monotonic() - start


def make(folder, *words):
    return seconds("make", "-f", "docker.mk", f"IMAGE={NAME}", "TAG=ours", *words, folder=folder)


def first(folder):
    """Return the seconds of our first build, without cached layers or a wheelhouse."""
    shutil.rmtree(folder / "wheelhouse")
    return with_new_wheels(folder, "BUILD_ARGS=--no-cache")


def with_new_wheels(folder, *words):
    """Return the seconds of making the wheelhouse, and of a build of which no layer with wheels is in the cache."""
    made = make(folder, "wheelhouse", *words)
    wheels.wheel(folder / "wheelhouse", f"new{secrets.token_hex(4)}", "1", {})
    return made + make(folder, "build")


def naive(folder, *options):
    """Return the seconds of the naive build."""
    return seconds("docker", "build", *options, "--file", "Dockerfile.naive", "--tag", NAIVE, ".", folder=folder)


def prepare(scratch):
    """Make a project of the last commit for each kind, with a wheelhouse for ours. Return both folders, and a clone of
    the template."""
    clone = scratch / "template"
    seconds("git", "clone", "-q", ROOT, clone, folder=scratch)
    ours = Project.made(clone, scratch / "ours")
    passed(ours.make("requirements"))
    naive = shutil.copytree(ours.folder, scratch / "naive", symlinks=True)
    make(ours.folder, "wheelhouse")
    (naive / ".dockerignore").write_text(".git\nve\nvar\n")
    (naive / "Dockerfile.naive").write_text(DOCKERFILE.format(key=secrets.token_hex(32)))
    return ours.folder, naive, clone


def changed(folder):
    """Add a line to one Python file. Return the folder."""
    append(folder / "project/home/views.py", f"# {secrets.token_hex(8)}\n")
    return folder


def pinned(folder, number):
    """Lock another version of one package. Return the folder."""
    version = PINNED[number % 2]
    seconds(UV, "lock", "--quiet", "--upgrade-package", version, folder=folder)
    return folder


def updated(folder, clone):
    """Bring the template's package with another line of code, as an update does. Return the folder."""
    append(clone / "slipway/__init__.py", f"# {secrets.token_hex(8)}\n")
    seconds("git", *WHO, "commit", "-qam", "More", folder=clone)
    seconds("env", f"PYTHONPATH={clone}", sys.executable, "-m", "slipway", "wheel", folder=folder)
    seconds(UV, "lock", "--quiet", folder=folder)
    return folder


def of_changes(mine, clone, runs):
    """Compare builds after other changes with one after a changed line of code."""
    make(changed(mine), "build")
    line, pin, update = [], [], []
    for number in range(runs):
        line.append(make(changed(mine), "build"))
        pin.append(with_new_wheels(pinned(mine, number)))
        update.append(make(updated(mine, clone), "build"))
    report("build after another pin", "pin", "line of code", list(zip(pin, line, strict=True)))
    report("build after an update of the template", "update", "line of code", list(zip(update, line, strict=True)))


def builds(mine, others, runs):
    pairs = [(first(mine), naive(others, "--no-cache")) for _ in range(runs)]
    report("first build, wheelhouse included", "ours", "naive", pairs)
    pairs = [(make(changed(mine), "build"), naive(changed(others))) for _ in range(runs)]
    report("build after one changed line of code", "ours", "naive", pairs)
    sizes = [docker("image", "inspect", "--format", "{{.Size}}", image).stdout for image in (OURS, NAIVE)]
    report("image size", "ours", "naive", [[int(size) / 1e6 for size in sizes]], "MB")


@contextlib.contextmanager
def started(image):
    """Yield a container whose first page has come, and a function that requests this page."""
    flags = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    container = Container(docker("run", "--detach", "--publish=127.0.0.1::8000", *flags, image).stdout)
    try:
        page = Request(container.url(), headers={"Host": "localhost"})
        wait_until(lambda: urlopen(page, timeout=10).status == 200, 120, "the first page")
        yield container, lambda: urlopen(page, timeout=10).read()
    finally:
        docker("rm", "--force", "--volumes", container.id)


def start_up(image):
    """Return the seconds from `docker run` to the first page."""
    start = time.monotonic()
    with started(image):
        return time.monotonic() - start


def private(image):
    """Return the megabytes that a worker shares with no other process, after 600 requests to all workers."""
    with started(image) as (container, ask):
        for _ in range(600):
            ask()
        lines = container.execute("sh", "-c", "grep ^Private_ /proc/[0-9]*/smaps_rollup").stdout
    sizes = collections.Counter()
    for path, size in (line.split(":", 1) for line in lines.splitlines()):
        sizes[int(path.split("/")[2])] += int(size.split()[-2]) / 1024
    _, *workers = [sizes[pid] for pid in sorted(sizes) if sizes[pid] > 5]  # the first has started the others
    return sum(workers) / len(workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("what", nargs="*", metavar="changes|build|start", default=["changes", "build", "start"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = prepare(Path(scratch))
        try:
            if "changes" in args.what:
                of_changes(folders[0], folders[2], args.runs)
            if "build" in args.what:
                builds(*folders[:2], args.runs)
            elif "start" in args.what:
                make(folders[0], "build"), naive(folders[1])
            if "start" in args.what:
                pairs = [(start_up(OURS), start_up(NAIVE)) for _ in range(args.runs)]
                report("docker run to the first page", "ours", "naive", pairs)
                report("a worker's own memory", "ours", "naive", [(private(OURS), private(NAIVE))], "MB")
        finally:
            docker("image", "rm", "--force", OURS, NAIVE, f"{NAME}-builder", check=False)


if __name__ == "__main__":
    main()
