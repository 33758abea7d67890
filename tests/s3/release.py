"""A release as in the image: code and static files in a folder, and the image's commands."""

import os
import re
import shutil
import sys
from pathlib import Path

from proc import ROOT, output, run

PARTS = ("slipway", "project", "manage.py", "docker-run.sh")
KEY = "0123456789abcdef" * 4


class Release:
    """A folder with the files that .dockerignore includes. `collect` does the build's part; `env` are its settings."""

    def __init__(self, folder, **env):
        self.folder = folder
        self.env = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "HOME": str(folder), "VE": sys.prefix,
                    "DJANGO_SETTINGS_MODULE": "project.settings_docker", "SECRET_KEY": KEY,
                    "SITE_URL": "http://localhost", "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3", **env}
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)

    def static(self, **files):
        """Add static files {name: content} to the project's; s_css becomes s.css."""
        for name, content in files.items():
            (self.folder / "project/static" / name.replace("_", ".")).write_bytes(content)

    def collect(self):
        shutil.rmtree(self.folder / "static-root", ignore_errors=True)
        output([sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"], cwd=self.folder,
               env={**self.env, "IMAGE_BUILD": "1"})
        return self

    @property
    def root(self):
        return self.folder / "static-root"

    def hashed(self, name):
        """Return the name with hash of a file at the top."""
        stem, dot, end = name.rpartition(".")
        return next(path.name for path in self.root.glob(f"{stem}.*{dot}{end}")
                    if re.fullmatch(rf"{re.escape(stem)}\.[0-9a-f]{{12}}{re.escape(dot + end)}", path.name))

    def files(self):
        """Return {name: content} of the files for visitors."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in Path(self.root).rglob("*")
                if path.is_file() and re.search(r"\.[0-9a-f]{12}(\.\w+)?(\.gz|\.br)?$", path.name)}

    def do(self, *words, **env):
        """Run a command of the image to its end."""
        return run(self.words(*words), cwd=self.folder, env={**self.env, **env})

    def words(self, *words):
        return [self.folder / "docker-run.sh", *words]
