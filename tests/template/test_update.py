"""A project that a team has worked on keeps up with the template: what is whose stays so, and it can go back."""

import re
import shutil

import pytest

from checkout import Project
from proc import ROOT, run
from test_docs import covers, ownership

from .releases import FIRST, LINE, SECOND, TODAY
from .team import DROPPED

MERGED = {"slipway/settings/production.py": [LINE], "requirements.in": ["django-filter\n", "whitenoise\n"],
          ".gitlab-ci.yml": ["  SHOP: open\n", "stages: [test, build, deploy]\n"]}


@pytest.fixture
def project(worked_on, tmp_path):
    """A project on which a team has worked, for one test."""
    shutil.copytree(worked_on, tmp_path / "shop", symlinks=True)
    return Project(tmp_path / "shop")


def owner(path):
    """Whose a file is by docs/update.md: the longest row counts."""
    rows = [entry for entry in ownership() if covers(entry, path)]
    return ownership()[max(rows, key=len)].strip() if rows else "team"


def version(project):
    return re.search(r"_commit: (\S+)", (project.folder / ".copier-answers.yml").read_text())[1]


def refusal(done):
    """The one line of a make that refused."""
    lines = [line for line in done.stderr.splitlines() if "***" not in line]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("make: "), done.stderr
    return lines[0]


def test_two_releases_up(project):
    """Without a conflict; whose a file is by docs/update.md, his it stays; what the team or the template dropped stays
    away; the project's tests pass."""
    before = project.files()
    done = project.make("template-update")
    assert done.returncode == 0 and version(project) == TODAY, done.stderr
    assert "What came first" not in done.stdout and "make requirements compiles" in done.stderr
    project.commit("Today")
    everyone_has_his_own(project, before, project.files())
    nothing_is_left_to_do(project)
    done = run([project.folder / "ve/bin/python", "manage.py", "test"], cwd=project.folder, env=project.env)
    assert done.returncode == 0, done.stdout + done.stderr


def everyone_has_his_own(project, before, after):
    """Template's files are today's, the team's as they were; merged ones have the changes of both."""
    for path, content in after.items():
        if owner(path) == "template" and path != ".copier-answers.yml":
            assert content == (ROOT / path).read_bytes(), path
    assert teams(before) == teams(after)
    for path, texts in MERGED.items():
        assert all(text in after[path].decode() for text in texts), path
    assert {"docs/tasks.md", "docs/consul.md"} <= set(after)
    for path in [*DROPPED, "slipway/deploy/legacy.py", "docs/jobs.md", "tests", "CHANGELOG.md", "copier.yml"]:
        assert not (project.folder / path).exists(), path


def teams(files):
    return {path: content for path, content in files.items() if owner(path) == "team"}


def nothing_is_left_to_do(project):
    """Again it changes nothing, however the answers are written; an older release is refused."""
    project.edit(".copier-answers.yml", "app: shop", "app: 'shop'")
    project.commit("Quote")
    done = project.make("template-update")
    assert done.returncode == 0 and f"{TODAY} already" in done.stderr
    assert "owngrad" in refusal(project.make("template-update", f"VERSION={SECOND}"))
    assert project.git("status", "--porcelain") == "" and version(project) == TODAY


def test_conflict_and_going_back(project):
    """Where both changed a line both are there to choose from, and the file is named; so is one that went with the
    team's changes, and what the changelog has new. Compiled pins are the template's. The one command that is named
    undoes all: files that are new, changed, gone or in conflict."""
    project.edit("Dockerfile", "WORKDIR /application", "WORKDIR /srv")
    project.edit("docs/jobs.md", "\n", "\nOur jobs.\n")
    project.edit("requirements/uv.txt", "uv==", "uv==1.")
    project.commit("Elsewhere")
    done = project.make("template-update", f"VERSION={SECOND}")
    assert done.stdout == "## 1.1.0\n### Added\n- What came second.\n", done.stderr
    assert f"from {FIRST} to {SECOND}" in done.stderr and "git reset --hard" in done.stderr
    assert re.findall(r"make: (\S+) has gone", done.stderr) == ["docs/jobs.md"]
    last = [line for line in done.stderr.splitlines() if "***" not in line][-1]
    assert done.returncode == 2 and " in Dockerfile: choose between" in last, done.stderr
    text = (project.folder / "Dockerfile").read_text()
    assert re.search(r"<<<<<<< before updating\nWORKDIR /srv\n=+\nWORKDIR /app\n>>>>>>> after updating", text)
    assert (project.folder / "docs/tasks.md").exists()
    assert (project.folder / "requirements/uv.txt").read_bytes() == (ROOT / "requirements/uv.txt").read_bytes()
    project.git("reset", "--quiet", "--hard")
    assert project.git("status", "--porcelain") == "" and version(project) == FIRST


def test_diff(project):
    """It shows the template's files that differ from those of the project's version, and no other."""
    assert "docs/design.md" in project.make("template-diff", "ARGS=--stat").stdout
    project.edit("deploy.mk", "# deploy.mk", "# Our deploy.mk")
    done = project.make("template-diff", "ARGS=--name-status")
    assert done.returncode == 0 and done.stdout == "M\tdeploy.mk\nD\tdocs/design.md\n", done.stderr


@pytest.mark.parametrize("fault, said", [
    ("no answers", "no .copier-answers.yml here"), ("empty", "has no _src_path and no _commit"),
    ("gone", "cannot be had"), ("no such commit", "has no 0123456")])
def test_refused(project, fault, said):
    """Without a template that can be had one line says why, and nothing changes."""
    answers = project.folder / ".copier-answers.yml"
    project.git("rm", "--quiet", answers) if fault == "no answers" else answers.write_text({
        "empty": "", "gone": f"_commit: {FIRST}\n_src_path: /no/such/template\n",
        "no such commit": re.sub("_commit: .*", "_commit: '0123456'", answers.read_text())}[fault])
    project.commit("Break")
    for target in ("template-update", "template-diff"):
        assert said in refusal(project.make(target)) and project.git("status", "--porcelain") == ""


def test_refused_where_it_could_not_be_undone(project):
    """With anything uncommitted, or without git, nothing is touched; nor by a version that the template does not have,
    which is told with those it has."""
    assert f"no version 9.9: {FIRST} {SECOND} {TODAY}" in refusal(project.make("template-update", "VERSION=9.9"))
    (project.folder / "new.txt").write_text("# more\n")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST
    (project.folder / "new.txt").unlink()
    project.edit("Makefile", "\n", "\n# more\n")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST
    shutil.rmtree(project.folder / ".git")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST
