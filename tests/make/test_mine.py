"""`make mine`: what concerns the template alone goes, and what a team keeps is whole."""

import re
import shutil

import pytest

from checkout import Checkout

LEFT_OUT = [".ci/", "tests/", "docs/adopt.md", "make/template.mk", "requirements/browser.in"]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "a clone")


def test_what_goes_and_what_stays(checkout):
    """It tells what goes, leaves it to git to keep or undo that, and the rest is whole: no target of make help needs
    what has gone, every page that is named is there. Its tests are a new project's: template/test_new.py."""
    (checkout.folder / "tests/__pycache__").mkdir()  # as of an earlier make test: not in git, and it must go too
    checkout.git("rm", "-q", "CHANGELOG.md")  # what a team has removed before is no matter
    checkout.git("commit", "-qm", "Start anew")
    done = checkout.make("mine")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    for path in LEFT_OUT:
        assert f"  {path} " in said and not (checkout.folder / path).exists(), said
    assert "git commit" in said and "git reset --hard" in said
    assert "LICENSE stays" in said and "Copyright" in (checkout.folder / "LICENSE").read_text()
    changes = [line for line in checkout.git("status", "--porcelain").splitlines() if line[0] != "D"]
    assert changes == ["M  README.md"]
    no_target_is_lost(checkout)
    no_page_is_lost(checkout)
    assert "nothing here makes 'mine'" in checkout.make("mine").stderr


def no_target_is_lost(checkout):
    """Each target of make help is one, and names nothing that has gone."""
    targets = re.findall(r"^  ([a-z][a-z0-9-]*) ", checkout.make("help").stdout, re.MULTILINE)
    assert {"test", "build", "deploy"} <= set(targets) and not {"e2e", "image-test", "browser", "mine"} & set(targets)
    done = checkout.make("-n", *targets)
    gone = re.findall(r"\S*(?:tests/|requirements/browser|template\.mk)\S*", done.stdout)
    assert done.returncode == 0 and gone == [], done.stderr


def no_page_is_lost(checkout):
    """What any file calls a page is there, links from one to another included."""
    for page in (checkout.folder / path for path in checkout.files() if path.endswith(".md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for path in checkout.git("ls-files").splitlines():
        text = (checkout.folder / path).read_bytes().decode(errors="replace")
        for page in re.findall(r"\bdocs/\w+\.md", "" if path == "docs/update.md" else text):
            assert (checkout.folder / page).exists(), f"{path} names {page}"
    assert not re.search(r"make (e2e|fleet|browser|image-test|mine)", (checkout.folder / "README.md").read_text())


def test_refused_where_something_would_be_lost(checkout):
    """With anything uncommitted, or without git, nothing is touched, and one line says why."""
    for path in ("tests/mine.py", "tests/proc.py", ".git"):
        if path == ".git":
            shutil.rmtree(checkout.folder / path)
        else:
            checkout.git("clean", "--quiet", "--force")
            (checkout.folder / path).write_text("x = 1\n")
        done = checkout.make("mine")
        lines = [line for line in done.stderr.splitlines() if "***" not in line]
        assert done.returncode == 2 and len(lines) == 1 and "commit" in lines[0] and done.stdout == "", done.stderr
        assert all((checkout.folder / path).exists() for path in LEFT_OUT)
    assert "make mine" in (checkout.folder / "README.md").read_text()
