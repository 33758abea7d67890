"""Tests of node.mk with the real npm but no package and no network; tests/image tests a real bundler."""

import json
import os
import shutil

import pytest

from checkout import WRITTEN
from proc import ROOT, output, put, run, words_of

INSTALLED = "make: installing what package-lock.json names\n"


@pytest.fixture
def front(tmp_path):
    """Return a function that runs make in a project with a front end, and returns (exit code, stderr)."""
    for path in [ROOT / "Makefile", *ROOT.glob("*.mk")]:
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "slipway/make", tmp_path / "slipway/make", ignore=WRITTEN)
    shutil.copy(ROOT / "examples/frontend/node.mk", tmp_path)
    (tmp_path / "with.mk").write_text("include Makefile node.mk\n")
    run(["git", "init", "--quiet"], cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("/*/static/built/\n")
    put(tmp_path / "assets/app.js")
    package = {"name": "front", "scripts": {"build": "cp assets/* $ASSETS && test ! -e broken"}}
    (tmp_path / "package.json").write_text(json.dumps(package))
    output(["npm", "install", "--package-lock-only", "--offline"], cwd=tmp_path)

    def make(*words):
        done = run(["make", "-f", "with.mk", *words], cwd=tmp_path)
        return done.returncode, words_of(done)

    return make


def test_assets(front, tmp_path):
    """npm installs if a file that names packages is newer. A build is complete, and replaces only what git ignores."""
    built, package = tmp_path / "project/static/built", tmp_path / "package.json"
    assert front("assets") == (0, INSTALLED) and os.listdir(built) == ["app.js"]
    (tmp_path / "assets/app.js").rename(tmp_path / "assets/site.js")
    assert front("assets") == (0, "") and os.listdir(built) == ["site.js"]
    text = package.read_text()
    package.write_text(text.replace("{", '{"dependencies": {"left": "1.0.0"}, ', 1))
    assert "Missing: left" in front("assets")[1]
    package.write_text(text)
    assert front("assets") == (0, INSTALLED), "packages are taken for whole after an install that failed"
    (tmp_path / "broken").touch()
    (tmp_path / "assets/site.js").rename(tmp_path / "assets/page.js")
    assert front("assets")[0] == 2 and os.listdir(built.parent) == ["built"] and os.listdir(built) == ["site.js"]
    for folder in ("assets", tmp_path.parent):  # git ignores neither
        assert "would be replaced" in front("assets", f"ASSETS={folder}")[1] and tmp_path.exists()
    assert "make: ASSETS must be one path" in front("help", "ASSETS=x';touch canary;'")[1]
    build = run(["make", "-n", "-f", "with.mk", "test", "build"], cwd=tmp_path).stdout
    assert "bin/eslint" in build and build.index("npm run --silent build") < build.rindex("slipway image build")
