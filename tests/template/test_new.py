"""A project that copier makes: what it is called, what it has, and that it works at once."""

import re
import runpy

import pytest

from checkout import Checkout, Folder, Project
from proc import ROOT, run


def text(project, path):
    return (project.folder / path).read_text()


def test_names(started):
    """Its own names everywhere, out of the folder's; a secret key that git does not keep; a first commit; a README that
    names nothing that has stayed behind."""
    assert re.search(r"^APP +\?= my-shop$", text(started, "Makefile"), re.MULTILINE)
    assert 'SITE_NAME = "My Shop"' in text(started, "project/settings_shared.py")
    for env in ("production", "staging"):
        toml = text(started, f"deploy/{env}.toml")
        assert 'app = "my-shop"\n' in toml and "\nimage = " not in toml
    assert re.fullmatch(r"SECRET_KEY=\S{64}\n", text(started, ".env"))
    assert (started.folder / ".env").stat().st_mode & 0o777 == 0o600 and ".env" not in started.files()
    assert started.git("log", "--format=%s %D") == "Start my-shop HEAD -> main\n"
    assert started.git("status", "--porcelain") == ""
    readme = text(started, "README.md")
    assert readme.startswith("# My Shop\n\n## Start\n") and "\n    git clone URL my-shop && cd my-shop\n" in readme
    assert not re.search(r"slipway\.git|template itself|make (mine|new|e2e|fleet)|<img", readme)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (started.folder / target).exists(), target


def test_what_make_mine_leaves(template, started, tmp_path):
    """There is one list of what stays behind: docs/update.md's, which make mine goes by, too."""
    clone = Checkout(tmp_path / "a clone")
    assert clone.make("mine").returncode == 0
    clone.commit("Mine")
    assert set(started.files()) - {".copier-answers.yml"} == set(clone.files())
    named = {"Makefile", "README.md", "deploy/production.toml", "deploy/staging.toml", "project/settings_shared.py"}
    ours, theirs = started.files(), clone.files()
    assert {path for path in theirs if ours[path] != theirs[path]} == named


def test_it_works_at_once(started):
    """Plain make passes: checks, linters, tests."""
    done = started.make()
    assert done.returncode == 0 and "\nRan " in done.stderr, done.stdout + done.stderr
    assert "make: passed: check flake8 mypy shellcheck hadolint migrations tests\n" in done.stdout


def test_source_that_others_can_reach(template, tmp_path):
    """A project that is made of a clone notes what that is a clone of. Names may be given; in a folder that git has
    already, committing is left to its owner."""
    clone, folder = tmp_path / "clone", tmp_path / "git/shop"
    run(["git", "clone", "--quiet", template.folder, clone], env=template.env)
    run(["git", "init", "--quiet", folder.parent], env=template.env)
    done = Project.copy(".", folder, "--data", "app=books", "--data", 'site_name=Köln "B" \\ 1', cwd=clone)
    assert done.returncode == 0 and "made books; git commit keeps it" in done.stderr, done.stderr
    settings = (folder / "project/settings_shared.py").read_text()
    assert "SITE_NAME = \"Köln \\\"B\\\" \\\\ 1\"" in settings and not (folder / ".git").exists()
    assert f'_src_path: "{template.folder}"\n' in (folder / ".copier-answers.yml").read_text()


@pytest.mark.parametrize("url, noted", [
    ("https://bob:s3cret@host.example/a/b.git", "https://host.example/a/b.git"),
    ("https://s3cret@host.example/a", "https://host.example/a"), ("git@host.example:a/b", "git@host.example:a/b")])
def test_no_password_is_noted(url, noted):
    """The origin of a clone may hold a token; the answers go into the project's first commit."""
    assert runpy.run_path(ROOT / "make/new.py")["without_user"](url) == noted


@pytest.mark.parametrize("option", ["app=Not valid", "app=9lives", "site_name= "])
def test_bad_answers(template, tmp_path, option):
    """An answer that cannot be is refused, and nothing is left behind."""
    done = Project.copy(template.folder, tmp_path / "shop", "--data", option)
    assert done.returncode and not (tmp_path / "shop").exists(), done.stderr


@pytest.mark.parametrize("args, said", [
    ([], "where to?"), (["NAME=docs"], "there already"), (["NAME=../x"], "git commit")])
def test_refused(template, tmp_path, args, said):
    """make new says in one line what it lacks, and makes nothing."""
    run(["git", "clone", "--quiet", template.folder, tmp_path / "clone"], env=template.env)
    clone = Folder(tmp_path / "clone")
    (clone.folder / "new.txt").write_text("not committed\n")
    done = clone.make("new", *args)
    lines = [line for line in done.stderr.splitlines() if "***" not in line]
    assert done.returncode == 2 and len(lines) == 1 and said in lines[0], done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone"]
