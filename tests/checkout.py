"""This checkout with its uncommitted changes, in a git repository of its own; and a project made from it."""

import os
import shutil
from pathlib import Path

from proc import ROOT, UV, VE_PYTHON, edit, output, passed, put, run
from slipway.make import blocks
from slipway.make.uv import settings

NOTHING_TO_INSTALL = [
    f"--old-file=ve/{name}" for name in ("sentinel", "sentinel-dev", "sentinel-tests", "copier/sentinel")
]
COPIER = VE_PYTHON.parent / "copier"
WRITTEN = shutil.ignore_patterns(".mypy_cache", "*.pyc.*")  # files that another worker may just write
# For a uv that a test runs itself: make gives it those of pip's settings.
CERTIFICATES = {name: value for name, value in settings(os.environ, indexes=False).items() if name == "SSL_CERT_FILE"}
WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "T"), ("EMAIL", "t@example.org"))
}


def without_celery(package):
    """Remove background jobs from a project's settings."""
    for path in package.glob("settings*.py"):
        path.write_text(blocks.without(path.read_text(), "jobs"))


def add_wrong_migration(folder):
    """Add to the project's app accounts a migration that fails."""
    (folder / "project/accounts/migrations/0002_wrong.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        "    dependencies = [('accounts', '0001_initial')]\n"
        "    operations = [migrations.RunSQL('SELECT nonsense')]\n"
    )


class Folder:
    """A folder with git and make, and with this checkout's virtualenv."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
            "UV": UV,
            **CERTIFICATES,
            "UV_INDEX_STRATEGY": os.environ.get("UV_INDEX_STRATEGY", "first-index"),
            **WHO,
        }

    def lend_virtualenv(self):
        put(self.folder / ".git/info/exclude", "/ve\n")  # a link, which /ve/ does not match
        (self.folder / "ve").symlink_to(VE_PYTHON.parent.parent)
        if (ROOT / ".mypy_cache").exists():  # so that mypy is quicker
            shutil.copytree(ROOT / ".mypy_cache", self.folder / ".mypy_cache")

    def git(self, *words):
        return output(["git", *words], cwd=self.folder, env=self.env)

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def make(self, *words):
        return run(
            ["make", "--no-print-directory", *NOTHING_TO_INSTALL, f"COPIER={COPIER}", *words],
            cwd=self.folder,
            env=self.env,
        )

    def files(self):
        """Return {path: content} of git's files."""
        return {path: (self.folder / path).read_bytes() for path in self.git("ls-files").splitlines()}

    def edit(self, path, old, new):
        edit(self.folder / path, old, new)


def take_files(folder):
    """Copy this checkout's files there, uncommitted changes included. Return their new paths."""
    listed = output(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT).split("\0")
    paths = [path for path in listed if (ROOT / path).is_file()]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return [folder / path for path in paths]


class Checkout(Folder):
    """A clone of this checkout, uncommitted changes included, committed, with its virtualenv."""

    def __init__(self, folder):
        super().__init__(folder)
        take_files(folder)
        self.lend_virtualenv()
        self.git("init", "-q")
        self.commit("All")


class Project(Folder):
    """A project that copier made from a template."""

    def __init__(self, folder):
        super().__init__(folder)
        if not (folder / "ve").exists():
            self.install()

    def install(self):
        """Create a virtualenv with the package of vendor/; all other packages come from the checkout's."""
        lent, own = VE_PYTHON.parent.parent, self.folder / "ve"
        shutil.rmtree(own, ignore_errors=True)
        run([VE_PYTHON, "-m", "venv", "--without-pip", own])
        [lent_packages], [packages] = (list(ve.glob("lib/python*/site-packages")) for ve in (lent, own))
        (packages / "lent.pth").write_text(f"{lent_packages}\n")
        for wheel in self.folder.glob("vendor/*.whl"):
            shutil.unpack_archive(wheel, packages, "zip")
        for program in set(os.listdir(lent / "bin")) - set(os.listdir(own / "bin")):
            (own / "bin" / program).symlink_to(lent / "bin" / program)

    @classmethod
    def made(cls, template, folder, *options):
        passed(cls.copy(template, folder, *options))
        return cls(folder)

    @staticmethod
    def copy(template, folder, *options, cwd=None):
        return run(
            [COPIER, "copy", "--quiet", "--trust", "--defaults", *options, template, folder],
            env=Folder(folder).env,
            cwd=cwd,
        )


def build_package(folder, source=ROOT):
    """Build the package of `source` into `folder`. Return the wheel's path."""
    words = [UV, "build", "--quiet", "--wheel", "--no-create-gitignore", "--out-dir", folder, source]
    output(words, env=settings(os.environ))
    [wheel] = folder.glob("*.whl")
    return wheel
