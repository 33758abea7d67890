"""A scratch checkout with its own virtualenv, which the real make makes from a folder of small packages."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import wheels
from checkout import WRITTEN
from proc import ROOT, UV, VE_PYTHON, passed, run, words_of

BASE_PYTHON = os.path.realpath(sys.executable)


class Scratch:
    """A copy of the files that make the virtualenv, in its own folder, with pins from `packages` {name: path}."""

    def __init__(self, folder, packages, installer, env):
        self.folder, self.packages = folder, packages
        self.env = {
            **env,
            "PYTHON": BASE_PYTHON,
            "INSTALLER": installer,
            "PIP_ARGS": f"--no-index --find-links {shlex.quote(str(packages['folder']))}",
            "SLOW_STARTED": str(folder.parent / "started"),
            "SLOW_MAY_GO_ON": str(folder.parent / "go on"),
        }

    def fill(self):
        """Copy the checkout's files to the folder, and pin tiny 1.0 and, for development, extra."""
        self.folder.mkdir()
        (self.folder / "requirements").mkdir()
        shutil.copytree(ROOT / "slipway/make", self.folder / "slipway/make", ignore=WRITTEN)
        for name in ("__init__.py", "__main__.py"):
            shutil.copy(ROOT / "slipway" / name, self.folder / "slipway")
        for path in [ROOT / "Makefile", ROOT / "manage.py", *ROOT.glob("*.mk")]:
            shutil.copy(path, self.folder)
        self.pin("requirements.txt", "tiny-1.0")
        self.pin("requirements/dev.txt", "extra-1.0")
        self.pin("requirements/uv.txt", "uv-9.9")
        return self

    def pin(self, file, *names):
        (self.folder / file).write_text("".join(wheels.pin(self.packages[name]) for name in names))

    def command(self, *args):
        return ["make", "-C", self.folder, "--no-print-directory", *args]

    def make(self, *args, **options):
        """Run make. Return the finished process."""
        return run(self.command(*args), **{"env": self.env, **options})

    def made(self, *args):
        """Run make, which must succeed. Return its messages."""
        return words_of(passed(self.make(*(args or ["ve/sentinel"]))))

    def has(self, *expressions):
        """Return the virtualenv's value of each expression, for example tiny.version; None if a package is missing."""
        names = "tiny", "extra", "slow"
        code = (
            "import importlib\n"
            + "".join(f"try: import {name}\nexcept ImportError: pass\n" for name in names)
            + "".join(
                f"print(getattr({expression!r} in globals() and {expression}, 'version', None))\n"
                for expression in expressions
            )
        )
        return run([self.folder / "ve/bin/python", "-c", code], env=self.env).stdout.split()

    def sentinels(self):
        return sorted(path.name for path in (self.folder / "ve").glob("sentinel*"))


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Return {name: path} of small packages, and "folder": their folder. Their uv is the checkout's own."""
    folder = tmp_path_factory.mktemp("team's packages")
    uv = f'#!/bin/sh\nexec {shlex.quote(UV)} "$@"\n'
    paths = [
        wheels.wheel(folder, name, version, {f"{name}.py": f"version = {version!r}\n" + "#" * int(version[0])})
        for name, version in [("tiny", "1.0"), ("tiny", "2.0"), ("extra", "1.0")]
    ]
    paths.append(wheels.wheel(folder, "uv", "9.9", {"uv-9.9.data/scripts/uv": uv}))
    paths.append(wheels.slow_package(folder))
    names = {"-".join(path.name.removesuffix(".tar.gz").split("-")[:2]): path for path in paths}
    return {**names, "folder": folder}


# For tests in which pip may differ. Others use only uv, because pip takes seconds.
WITH_PIP_TOO = pytest.mark.parametrize("installer", ["uv", "pip"], indirect=True)


@pytest.fixture
def installer(request):
    """Return uv, unless the test asks for pip."""
    return "pip" if getattr(request, "param", "uv") == "pip" else UV


@pytest.fixture
def clean_env(tmp_path):
    """Return an environment without anybody's settings of pip or uv."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture
def scratch(tmp_path, packages, installer, clean_env):
    """Return a scratch checkout without a virtualenv, in a folder with a space and quotes in its name."""
    return Scratch(tmp_path / "a \"scratch\" 'copy'", packages, installer, clean_env).fill()


@pytest.fixture
def project(tmp_path):
    """Copy the whole project without tests/, with the checkout's own virtualenv. Return the folder. Complete bytecode
    and mypy's cache are copied too: without them all starts slowly."""
    folder = tmp_path / "a project"
    skip = ["ve", "ve.lock", "var", ".git", "tests", "node_modules", "wheelhouse", "*.pyc.*", ".hypothesis", ".env"]
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*skip), symlinks=True)
    (folder / "ve").symlink_to(Path(VE_PYTHON.parent.parent))
    return folder
