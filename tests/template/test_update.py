"""Tests of updating a changed project: each file stays its owner's, and the update can be undone."""

import re
import shutil
import signal
from pathlib import Path

import pytest

import wheels
from checkout import NOTHING_TO_INSTALL, Folder, Project
from documented import block
from proc import ROOT, UV, executable, output, passed, refusal, run, running, signal_group, wait_until

from .releases import FIRST, SECOND, TODAY
from .team import DROPPED

TEMPLATES = re.compile(r"[a-z]+\.mk|Dockerfile|docker-run\.sh|deploy/.*\.sh")
OF_BOTH = {".gitlab-ci.yml", ".copier-answers.yml", "pyproject.toml", "uv.lock"}


@pytest.fixture
def project(worked_on, tmp_path):
    """Return a project for one test that a team has changed."""
    shutil.copytree(worked_on, tmp_path / "shop", symlinks=True)
    return Project(tmp_path / "shop")


def version(project):
    return re.search(r"_commit: (\S+)", (project.folder / ".copier-answers.yml").read_text())[1]


def test_two_releases_up(project):
    """The update has no conflict. Each file stays its owner's by docs/update.md. Files that the team or the template
    removed stay removed. The project's tests pass."""
    before = project.files()
    done = project.make("template-update")
    assert done.returncode == 0 and version(project) == TODAY, done.stderr
    assert "What came first" not in done.stdout
    project.install()
    project.commit("Today")
    everyone_has_his_own(project, before, project.files())
    nothing_is_left_to_do(project)
    output([project.folder / "ve/bin/python", "manage.py", "test"], cwd=project.folder, env=project.env)


def everyone_has_his_own(project, before, after):
    """The template's files are today's, the package is there once and pinned, and the team's files are unchanged."""
    for path in filter(TEMPLATES.fullmatch, after):
        assert after[path] == (ROOT / path).read_bytes(), path
    assert "  SHOP: open\n" in after[".gitlab-ci.yml"].decode()
    assert "stages: [test, build, deploy]\n" in after[".gitlab-ci.yml"].decode()
    [wheel] = [path for path in after if path.endswith(".whl")]
    assert wheel == f"vendor/slipway_django-{TODAY}-py3-none-any.whl"
    assert f'{{ path = "{wheel}" }}' in after["pyproject.toml"].decode()
    locks = [content["uv.lock"].decode() for content in (before, after)]
    assert f'source = {{ path = "{wheel}" }}' in locks[1] and FIRST not in locks[1].split("slipway-django")[1][:200]
    assert [' name = "whitenoise" ' in text for text in locks] == [False, True] and '"django-filter"' in locks[1]
    assert teams(before) == teams(after)
    for path in [
        *DROPPED,
        "deploy/old.sh",
        "deploy/jobs.sh",
        "tests",
        "CHANGELOG.md",
        "copier.yml",
        "slipway",
    ]:
        assert not (project.folder / path).exists(), path


def teams(files):
    return {
        path: content
        for path, content in files.items()
        if not (TEMPLATES.fullmatch(path) or path in OF_BOTH or path.startswith("vendor/"))
    }


def nothing_is_left_to_do(project):
    """A second update changes nothing, however the answers are quoted. An older release is refused."""
    project.edit(".copier-answers.yml", "app: shop", "app: 'shop'")
    project.commit("Quote")
    done = project.make("template-update")
    assert done.returncode == 0 and f"{TODAY}, the newest release" in done.stderr
    assert "owngrad" in refusal(project.make("template-update", f"VERSION={SECOND}"))
    assert project.git("status", "--porcelain") == "" and version(project) == TODAY


def test_conflict_and_going_back(project):
    """If both changed a line, the file is named and contains both versions. A removed file with the team's changes is
    named too, as is the changelog's news. The one command in the output undoes all: new, changed, removed and
    conflicting files."""
    project.edit("Dockerfile", "WORKDIR /application", "WORKDIR /srv")
    project.edit("django.mk", "# django.mk", "# ours, django.mk")
    project.edit("deploy/old.sh", "first", "very first")
    project.edit("pyproject.toml", "dependencies = [", 'dependencies = ["no-such-package",')
    project.commit("Elsewhere")
    done = project.make("template-update", f"VERSION={SECOND}")
    assert done.stdout == "## 1.1.0\n### Added\n- What came second.\n", done.stderr
    assert f"from {FIRST} to {SECOND}" in done.stderr and "git reset --hard" in done.stderr
    last = [line for line in done.stderr.splitlines() if "***" not in line][-1]
    assert done.returncode == 2 and " in Dockerfile: edit " in last, done.stderr
    assert "make: the pins are not the new package's" in done.stderr, "one problem hides no other"
    text = (project.folder / "Dockerfile").read_text()
    assert re.search(r"<<<<<<< before updating\nWORKDIR /srv\n=+\nWORKDIR /app\n>>>>>>> after updating", text)
    assert (project.folder / "deploy/ci.sh").exists()
    assert not (project.folder / "deploy/old.sh").exists()
    project.git("reset", "--quiet", "--hard")
    assert project.git("status", "--porcelain") == "" and version(project) == FIRST


def test_diff(project):
    """slipway-diff shows what an update would change, and the changelog, but no file that the project lacks or owns."""
    files = project.make("slipway-diff", "ARGS=--name-status")
    assert files.returncode == 0 and set(files.stdout.splitlines()) == {
        "M\tCHANGELOG.md",
        "M\tDockerfile",
        "M\tdocker-run.sh",
        "M\tdjango.mk",
        "R100\tdeploy/jobs.sh\tdeploy/ci.sh",
        "M\t.gitlab-ci.yml",
        "D\tdeploy/old.sh",
    }, files.stdout + files.stderr
    assert "django.mk" not in project.make("slipway-diff", f"TO={SECOND}").stdout
    assert f"no version 9.9, only {FIRST} {SECOND} {TODAY}" in refusal(project.make("slipway-diff", "TO=9.9"))


def test_ctrl_c(project, tmp_path):
    """An interrupted update changes nothing."""
    stub = executable(tmp_path / "copier", "#!/bin/sh\necho >>Makefile\n: >new.txt\nsleep 60\n")
    with running(
        ["make", *NOTHING_TO_INSTALL, "template-update", f"COPIER={stub}"], cwd=project.folder, env=project.env
    ) as make:
        wait_until((project.folder / "new.txt").exists, what="copier has begun")
        signal_group(make, signal.SIGINT)
        assert make.wait(60)
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    "fault, message",
    [
        ("no answers", "no .copier-answers.yml with _src_path and _commit"),
        ("empty", "no .copier-answers.yml with"),
        ("gone", "cannot read the template"),
        ("no such commit", "names as this project's version: push it there"),
    ],
)
def test_refused(project, fault, message):
    """If the template cannot be read, one line says why, and nothing changes."""
    answers = project.folder / ".copier-answers.yml"
    texts = {
        "empty": "",
        "gone": f"_commit: {FIRST}\n_src_path: /no/such/template\n",
        "no such commit": re.sub("_commit: .*", "_commit: '0123456'", answers.read_text()),
    }
    if fault == "no answers":
        project.git("rm", "--quiet", answers)
    else:
        answers.write_text(texts[fault])
    project.commit("Break")
    for target in ("template-update", "slipway-diff"):
        assert message in refusal(project.make(target)) and project.git("status", "--porcelain") == ""


def test_refused_where_it_could_not_be_undone(project):
    """With uncommitted changes, or without git, nothing changes; nor for an unknown version, whose error lists the
    template's versions."""
    assert f"no version 9.9, only {FIRST} {SECOND} {TODAY}" in refusal(project.make("template-update", "VERSION=9.9"))
    (project.folder / "new.txt").write_text("# more\n")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST
    (project.folder / "new.txt").unlink()
    project.edit("Makefile", "\n", "\n# more\n")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST
    shutil.rmtree(project.folder / ".git")
    assert "commit" in refusal(project.make("template-update")) and version(project) == FIRST


def test_from_the_commit_before(template, tmp_path):
    """A project of the last commit with requirements.in comes along by the lines of docs/update.md, in its versions.
    Before these it goes on with its requirements.txt."""
    before = "3a1c34e9"
    if run(["git", "cat-file", "-e", before], cwd=ROOT).returncode:
        pytest.skip(f"{before} is not to be had in a clone without its history")
    source = Folder(tmp_path / "slipway")
    run(["git", "clone", "--quiet", ROOT, source.folder], env=source.env, check=True)
    source.git("remote", "remove", "origin")  # else projects update from there
    project = Project.made(source.folder, tmp_path / "shop", "--vcs-ref", before)
    pins = (project.folder / "requirements.txt").read_text()
    source.git("fetch", "--quiet", "--tags", template.folder)
    source.git("checkout", "--quiet", TODAY)
    first, *lines = block(ROOT / "docs/update.md", "make template-update    ").splitlines()
    assert first.startswith("make template-update ")
    assert "has no command in its header" in project.make("template-update").stderr
    after = (project.folder / "requirements.txt").read_text()
    assert versions(after) == versions(pins) and "./vendor/slipway_django-2.0.0-py3-none-any.whl" in after
    [wheel] = project.folder.glob("vendor/*.whl")
    assert wheels.pin(wheel).split("sha256:")[1].strip() in after
    assert lines.pop() == "make" and len(lines) <= 8
    env = {**project.env, "PATH": f"{Path(UV).parent}:{project.env['PATH']}"}
    output(["sh", "-ec", "\n".join(lines)], cwd=project.folder, env=env)
    passed(project.make("requirements.txt", "check"))
    assert versions((project.folder / "requirements.txt").read_text()) == versions(pins)
    assert "!uv.lock\n" in (project.folder / ".dockerignore").read_text()
    assert "requirements" not in project.git("status", "--porcelain").replace("D  requirements", "")


def versions(pins):
    return re.findall(r"^([\w.-]+==[^\s;]+)", pins, re.MULTILINE)
