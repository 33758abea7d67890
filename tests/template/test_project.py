"""Tests of a new project's files, with all options and with none; and of the targets for its package."""

import os
import re
import shutil

import pytest

import wheels
from checkout import WRITTEN, Checkout, Project
from documented import block
from proc import ROOT, UV, VE_PYTHON, output, passed, put, refusal, run, words_of
from sharing import once

BUDGETS = {"started": (85, 2300), "bare": (80, 2000)}  # files, lines except pins and the wheel
CI = {
    "gitlab": {".gitlab-ci.yml", "deploy/ci.sh"},
    "jenkins": {"Jenkinsfile", "deploy/ci.sh"},
    "github": {
        ".github/workflows/deploy.yml",
        ".github/workflows/test.yml",
        "deploy/ci.sh",
    },
}
OF_CI = re.compile(r"\.github/|\.gitlab|Jenkinsfile|deploy/ci\.sh")
OF_ANSWERS = re.compile(r"(?i:allauth|mfa|-- accounts|sign_up)|celery|worker:|beat:|BROKER_URL|make worker|ci\.sh")
# Files for all projects, whatever their options.
FOR_ALL = re.compile(r".*\.mk|docker-run\.sh|uv\.lock|vendor/.*")


@pytest.fixture(scope="session")
def bare(template, tmp_path_factory):
    """Return a project without CI, accounts and background jobs, with psycopg 3. No test changes it."""

    def make(path):
        answers = "app=shop", "package=pages", "ci=none", "accounts=false", "jobs=false", "driver=psycopg"
        Project.made(template.folder, path, *(word for answer in answers for word in ("--data", answer)))

    return Project(once(tmp_path_factory, "bare", make))


@pytest.fixture
def project(started, tmp_path):
    """Return a project for one test."""
    shutil.copytree(started.folder, tmp_path / "shop", symlinks=True, ignore=WRITTEN)
    return Project(tmp_path / "shop")


@pytest.mark.parametrize("name", BUDGETS)
def test_what_there_is_to_read(request, name):
    """The files and lines are few enough to be read by a team lead before adoption."""
    files = request.getfixturevalue(name).files()
    read = {
        path: content.count(b"\n")
        for path, content in files.items()
        if not re.fullmatch(r"vendor/.*\.whl|uv\.lock", path)
    }
    most, lines = BUDGETS[name]
    assert len(files) <= most and sum(read.values()) <= lines, read
    assert sum(lines for path, lines in read.items() if path.endswith(".mk")) <= 400


def test_none_chosen(bare):
    """Without CI, accounts and background jobs no file mentions them, and all checks pass."""
    assert of_ci(bare) == set()
    for path, content in bare.files().items():
        said = OF_ANSWERS.search(content.decode("utf-8", "replace"))
        assert FOR_ALL.fullmatch(path) or not said, f"{path}: {said}"
    assert '"slipway-django[csp,psycopg]"' in (bare.folder / "pyproject.toml").read_text()
    assert 'name = "psycopg-pool"\nversion' in (bare.folder / "uv.lock").read_text()
    assert "redis" not in (bare.folder / "compose.yaml").read_text(), "its package comes with jobs"
    assert '"check-jsonschema>=' in (bare.folder / "pyproject.toml").read_text(), "what stays keeps its lines"
    done = bare.make()
    assert done.returncode == 0 and "make: passed: " in done.stdout, done.stdout + done.stderr
    assert not re.search("^.* reformatted", passed(bare.make("format")).stdout)


NAMED = re.compile(r"\bproject(/|\.\w|\")|PROJECT=project")


def test_its_own_package(bare):
    """Each file of the team's names the package as `make new` was told."""
    teams = {path: text for path, text in bare.files().items() if not re.match(r".*\.mk$|uv\.lock|vendor/", path)}
    named = {path: NAMED.search(text.decode("utf-8", "replace")) for path, text in teams.items()}
    assert not any(named.values()), {path: match for path, match in named.items() if match}
    assert "pages/home/views.py" in teams and not [path for path in teams if path.startswith("project/")]
    assert "[pages]\n" in passed(bare.make("--eval=show: ; @echo [$(PROJECT)]", "show")).stdout


@pytest.mark.parametrize("name", ["site", "celery", "deploy", "Pages", "my-pages"])
def test_names_of_others(template, tmp_path, name):
    """A package that would hide a module, or that Python cannot import, is refused, and nothing is left behind."""
    done = Project.copy(template.folder, tmp_path / "shop", "--data", f"package={name}")
    assert done.returncode and not (tmp_path / "shop").exists(), done.stderr
    assert "would hide another one" in done.stderr or not name.islower() or "-" in name, done.stderr


def of_ci(project):
    return {path for path in project.files() if OF_CI.match(path)}


def test_the_ci_that_was_chosen(started, project):
    """Only the chosen CI's files are there. The one command of docs/ci.md replaces them by another CI's."""
    assert of_ci(started) == CI["github"]
    for ci in ("jenkins", "gitlab"):
        passed(project.make("template-update", f"ARGS=--data ci={ci}"))
        project.commit(ci)
        assert of_ci(project) == CI[ci]


def test_a_package_more(project):
    """`uv add` and make install it. What make writes from uv.lock, which a bot may have changed, git does not see: the
    next image is not "dirty"."""
    output([UV, "add", "--quiet", "--no-sync", "pillow"], cwd=project.folder, env=project.env)
    project.commit("Pictures")
    passed(project.make("requirements.txt", "check"))
    assert re.search(r"^pillow==\S+ \\\n +--hash=", (project.folder / "requirements.txt").read_text(), re.MULTILINE)
    assert re.search(r'^ +"pillow>=\d', (project.folder / "pyproject.toml").read_text(), re.MULTILINE)
    assert project.git("status", "--porcelain") == ""


def test_the_versions_that_were_tested(started):
    """A new project's lock has the template's versions."""
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    lock = (started.folder / "uv.lock").read_text()
    locked = dict(re.findall(r'^name = "(.*)"\nversion = "(.*)"', lock, re.MULTILINE))
    assert pins and {name: locked[name] for name, _ in pins} == dict(pins)


def test_patch(project, tmp_path):
    """The package of a changed clone replaces wheel and pin, by the lines of docs/update.md."""
    clone = Checkout(tmp_path / "slipway")
    (clone.folder / "slipway/__init__.py").write_text("PATCHED = True\n")
    *lines, last = block(ROOT / "docs/update.md", "cd ../slipway").splitlines()
    assert last == "make build"
    output(["sh", "-ec", "\n".join(lines)], cwd=project.folder, env=project.env)
    project.install()
    output(["ve/bin/python", "-c", "import slipway; assert slipway.PATCHED"], cwd=project.folder, env=project.env)
    assert len(list(project.folder.glob("vendor/*.whl"))) == 1


def test_files_of_the_package(project):
    """Tools' pins come with the package, until the project has its own. make classic writes the package's script."""
    pins = {f"var/pins/{tool}.txt": f"requirements/{tool}.txt" for tool in ("audit", "copier", "deploy", "uv")}
    passed(project.make(*pins, "classic"))
    for path, name in {**pins, "deploy/classic.sh": "deploy/classic.sh"}.items():
        assert (project.folder / path).read_bytes() == (ROOT / "slipway" / name).read_bytes()
    [wheel] = project.folder.glob("vendor/*.whl")
    os.utime(wheel)  # it is another
    assert "packaged requirements/uv.txt" in project.make("-n", "var/pins/uv.txt").stdout


def test_provisioning_makes_its_virtualenv(project, tmp_path):
    """`slipway provision` needs no make: it installs what it needs once, beside the project's own virtualenv, and again
    after a change of the pins. A file that is no TOML is told before."""
    code = "import sys\nsys.exit(f'{version} in {sys.prefix} runs {sys.argv[1:]}')\n"
    pins = project.folder / "requirements/deploy.txt"
    [package] = project.folder.glob("vendor/*.whl")
    options = {"PIP_ARGS": f"--no-index --find-links={tmp_path}", "INSTALLER": str(UV), "PYTHONPATH": str(package)}
    words = [os.path.realpath(VE_PYTHON), "-m", "slipway", "provision", "--check"]
    for version, installs in ((1, True), (1, False), (2, True)):
        if installs:
            wheel = wheels.wheel(tmp_path, "pyinfra", f"{version}", {"pyinfra.py": f"version = {version}\n{code}"})
            put(pins, wheels.pin(wheel))
        done = run(words, cwd=project.folder, env={**project.env, **options})
        place = project.folder / "var/pyinfra"
        expected = f"{version} in {place} runs ['provision', '--check']\n"
        assert words_of(done) == (f"make: installing requirements/deploy.txt\n{expected}" if installs else expected)
        assert done.returncode == 1 and not (project.folder / "ve/deploy").exists()
    put(project.folder / "deploy/production.toml", "[hosts\n")
    shutil.rmtree(place)
    done = run(words, cwd=project.folder, env={**project.env, **options})
    assert "production.toml: is not TOML" in refusal(done) and not place.exists()


def test_docs(started, tmp_path):
    """The package's manual lists its pages, and shows one by name or path. It is a site, too."""
    env = {**started.env, "PYTHONPATH": str(next(started.folder.glob("vendor/*.whl")))}

    def docs(*words):
        return run([VE_PYTHON, "-m", "slipway", *words], cwd=started.folder, env=env)

    assert re.search(r"^ci +Deploys from CI$", docs("docs").stdout, re.MULTILINE)
    for page in ("ci", "docs/ci.md"):
        assert docs("docs", page).stdout.startswith("# Deploys from CI\n")
    assert "has no page cii" in docs("docs", "cii").stderr
    assert words_of(passed(docs("site", "build", str(VE_PYTHON), str(tmp_path)))) == ""
    assert (
        "Deploys from CI" in (tmp_path / "html/index.html").read_text() + (tmp_path / "html/docs/ci.html").read_text()
    )
