"""Tests of a project that copier makes: its names, its files, and that it works at once."""

import contextlib
import os
import re
import signal
import sys

import pytest

from checkout import NOTHING_TO_INSTALL, Project
from proc import ROOT, executable, passed, put, refusal, run, running, signal_group, wait_until
from slipway.make import new

BASE_PYTHON = os.path.realpath(sys.executable)
COPIER_STUB = '#!/bin/sh\nfor name; do :; done\nmkdir "$name"\n: >"$name/half"\nsleep 60\n'


def text(project, path):
    return (project.folder / path).read_text()


def test_names(started):
    """The project has its own names everywhere, from its folder; a secret key that git ignores; a first commit; a
    README that refers only to existing files; and its beginning as AGENTS.md."""
    assert 'SITE_NAME = "My Shop"' in text(started, "project/settings_base.py")
    for env in ("production", "staging"):
        toml = text(started, f"deploy/{env}.toml")
        assert 'app = "my-shop"\n' in toml and '\nimage = "my-shop"\n' in toml
    assert re.fullmatch(r"SECRET_KEY=\S{64}\n", text(started, ".env"))
    assert (started.folder / ".env").stat().st_mode & 0o777 == 0o600 and ".env" not in started.files()
    assert started.git("log", "--format=%s %D") == "Start my-shop HEAD -> main\n"
    assert started.git("status", "--porcelain") == ""
    assert f" Its {len(started.files())} files are yours" in (ROOT / "README.md").read_text().replace("\n", " ")
    readme = text(started, "README.md")
    assert readme.startswith("# My Shop\n") and "\n    git clone URL my-shop && cd my-shop\n" in readme
    agents = text(started, "AGENTS.md")
    assert readme.startswith(f"{agents}\n## Ship\n") and agents.count("\n") <= 40 and "make test TEST=" in agents
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (started.folder / target).exists(), target


def test_it_works_at_once(started):
    """Plain make passes: checks, linters and tests. The formatter, which pre-commit runs, has nothing to change."""
    done = started.make()
    assert done.returncode == 0 and "\nRan " in done.stderr, done.stdout + done.stderr
    assert "make: passed: check flake8 ruff mypy shellcheck hadolint migrations tests\n" in done.stdout
    assert re.match(r"\d+ files left unchanged\n", passed(started.make("format")).stdout)


def test_source_that_others_can_reach(template, clone, tmp_path):
    """A project made from a clone records the clone's origin. Names may be given. In an existing git repository, its
    owner commits."""
    folder = tmp_path / "git/shop"
    run(["git", "init", "--quiet", folder.parent], env=template.env)
    done = Project.copy(".", folder, "--data", "app=books", "--data", 'site_name=Köln "B" \\ 1', cwd=clone.folder)
    assert done.returncode == 0 and "made books; next: git add, git commit" in done.stderr, done.stderr
    settings = (folder / "project/settings_base.py").read_text()
    assert 'SITE_NAME = "Köln \\"B\\" \\\\ 1"' in settings and not (folder / ".git").exists()
    assert f'_src_path: "{template.folder}"\n' in (folder / ".copier-answers.yml").read_text()


def test_a_commit_of_ones_own(template, clone, tmp_path):
    """A project from a commit that the origin lacks records the clone, and says why. If git commit fails, so does make
    new, with a cure. Options that make new gives, too, may be repeated."""
    (clone.folder / "docs/ours.md").touch()
    clone.commit("Ours")
    (tmp_path / ".gitconfig").write_text("[gpg]\nprogram = /nowhere\n[commit]\ngpgsign = true\n")
    done = clone.make("new", "NAME=../shop", "ARGS=--defaults --quiet --vcs-ref HEAD")
    assert done.returncode == 2 and f"make: {template.folder} lacks the commit that" in done.stderr, done.stderr
    assert "made shop, but git commit failed" in done.stderr and "; next:" not in done.stderr
    assert f'_src_path: "{clone.folder}"\n' in (tmp_path / "shop/.copier-answers.yml").read_text()


@pytest.mark.parametrize(
    "url, noted",
    [
        ("https://bob:s3cret@host.example/a/b.git", "https://host.example/a/b.git"),
        ("https://s3cret@host.example/a", "https://host.example/a"),
        ("git@host.example:a/b", "git@host.example:a/b"),
    ],
)
def test_no_password_is_noted(clone, tmp_path, monkeypatch, url, noted):
    """A clone's origin may contain a token, and the answers are in the project's first commit."""
    clone.git("remote", "set-url", "origin", url)
    clone.git("clone", "--quiet", clone.folder, tmp_path / "copier's")
    monkeypatch.setattr(new, "TEMPLATE", tmp_path / "copier's")
    answers = put(tmp_path / "answers", "_src_path: /tmp/x\n")
    new.reachable_source(answers)
    assert answers.read_text() == f'_src_path: "{noted}"\n'


def test_ctrl_c(clone, tmp_path):
    """An interrupted make new leaves nothing that would keep the name from the next."""
    stub = executable(tmp_path / "copier", COPIER_STUB)
    with running(
        ["make", *NOTHING_TO_INSTALL, "new", "NAME=../shop", f"COPIER={stub}"], cwd=clone.folder, env=clone.env
    ) as make:
        wait_until((tmp_path / "shop/half").exists, what="copier has begun")
        signal_group(make, signal.SIGINT)
        assert make.wait(60)
    assert not (tmp_path / "shop").exists()


def test_a_python_too_old_for_django_6():
    is_old = sys.version_info < (3, 12)
    refusal = pytest.raises(new.Problem, match=r"and this project needs 3\.12 or newer")
    with refusal if is_old else contextlib.nullcontext():
        new.refuse_old_python(str(BASE_PYTHON))


def test_lines_end_as_programs_need_it(started, tmp_path):
    """With a git that writes Windows' line ends, ./manage.py starts, too."""
    started.git("-c", "core.autocrlf=true", "clone", "--quiet", started.folder, tmp_path / "clone")
    assert (tmp_path / "clone/manage.py").read_bytes().startswith(b"#!/usr/bin/env python3\n")


@pytest.mark.parametrize("option", ["app=Not valid", "app=9lives", "site_name= "])
def test_bad_answers(template, tmp_path, option):
    """An invalid answer is refused, and nothing is left behind."""
    done = Project.copy(template.folder, tmp_path / "shop", "--data", option)
    assert done.returncode and not (tmp_path / "shop").exists(), done.stderr


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "no NAME"),
        (["NAME=docs"], "exists already"),
        (["NAME=../x"], "git commit"),
        (["NAME=/dev/null/x"], "cannot be made"),
    ],
)
def test_refused(clone, tmp_path, args, message):
    """make new names the fault in one line, and makes nothing."""
    if message == "git commit":
        (clone.folder / "new.txt").write_text("not committed\n")
    assert message in refusal(clone.make("new", *args))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone"]
