"""Tests of the package: a wheel like any other, also from an index, with the command `slipway`."""

import re
import shutil
import urllib.request
import zipfile

import pytest

from checkout import WRITTEN, Project, build_package
from proc import VE_PYTHON, append, free_port, output, passed, run, running, wait_until
from slipway.make.wheel import named


@pytest.fixture
def wheel(template, tmp_path):
    return build_package(tmp_path / "wheel", template.folder)


def test_an_index_accepts_it(template, clone, wheel, tmp_path):
    """Its metadata is complete. The same commit gives the same bytes, and another one another version."""
    output([VE_PYTHON, "-m", "twine", "check", "--strict", wheel])
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        [metadata] = [content.read(name).decode() for name in names if name.endswith("/METADATA")]
    assert {"slipway/py.typed", "slipway/docs/deploy.md", "slipway/management/app/views.py-tpl"} < {*names}
    assert not [name for name in names if name.startswith(("slipway/tests/", "slipway/adopt/", "docs/"))]
    assert all(
        f"Provides-Extra: {extra}\n" in metadata for extra in ("accounts", "csp", "jobs", "deploy", "s3", "psycopg2")
    )
    assert "\nRequires-Dist: django>=5.2\n" in metadata
    assert build_package(tmp_path / "again", template.folder).read_bytes() == wheel.read_bytes()
    clone.git("commit", "-q", "--allow-empty", "-m", "More")
    assert build_package(tmp_path / "next", clone.folder).name != wheel.name


def test_a_clone_without_tags(clone, tmp_path):
    """It calls itself a development version of 1.0.0, which the documents describe."""
    clone.git("tag", "--delete", *clone.git("tag").split())
    name = build_package(tmp_path / "wheel", clone.folder).name
    assert re.match(r"slipway_django-1\.0\.0\.dev\d+\+g[0-9a-f]+-", name), name


OLD, NEW = "vendor/slipway_django-1.0.0-py3-none-any.whl", "vendor/slipway_django-2.0.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "text",
    [
        'dependencies = ["slipway-django[jobs]"]\n[tool.uv.sources]\nslipway-django = { path = "WHEEL" }\n',
        "./WHEEL[jobs] \\\n    --hash=sha256:HASH \\\n    # via -r requirements.in\nvine==5 \\\n    --hash=sha256:a\n",
        "django\n./WHEEL\n",
    ],
)
def test_where_its_file_is_named(text):
    """An update names the new file, with its hash, wherever the old one was."""
    old, new = text.replace("WHEEL", OLD).replace("HASH", "0f"), text.replace("WHEEL", NEW).replace("HASH", "1e")
    assert named(old, NEW, "1e") == new


def test_from_an_index(started, wheel, tmp_path):
    """The line of docs/update.md takes it from a package index, by its hash. Its command runs, and completes words."""
    shutil.copytree(started.folder, tmp_path / "shop", symlinks=True, ignore=WRITTEN)
    project, port = Project(tmp_path / "shop"), free_port()
    (tmp_path / "index").mkdir()
    serve = [
        VE_PYTHON,
        "-m",
        "pypiserver",
        "run",
        "-i",
        "127.0.0.1",
        "-p",
        str(port),
        "-a",
        ".",
        "-P",
        ".",
        tmp_path / "index",
    ]
    with running(serve):
        wait_until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/simple/"), what="the index answers")
        upload = ["upload", "--non-interactive", "--repository-url", f"http://127.0.0.1:{port}/", "-u", "a", "-p", "b"]
        output([VE_PYTHON, "-m", "twine", *upload, wheel])
        [path] = (project.folder / "vendor").glob("*.whl")
        source = f'slipway-django = {{ path = "vendor/{path.name}" }}\n'
        project.edit("pyproject.toml", source, "")
        index = f'[[tool.uv.index]]\nname = "own"\nurl = "http://127.0.0.1:{port}/simple/"\n'
        append(project.folder / "pyproject.toml", f"\n{index}")
        for words in (["requirements"], ["own/sentinel", "VE=own"]):
            passed(project.make(*words))
    assert "slipway-django==2.0.0 \\\n    --hash=sha256:" in (project.folder / "requirements.txt").read_text()
    command = project.folder / "own/bin/slipway"
    done = run([command, "status"], cwd=tmp_path)
    assert done.returncode == 2 and "deploy/production.toml: there is no such file" in done.stderr
    assert "shtab is not installed" in run([command, "completion", "bash"]).stderr
    for shell in ("bash", "zsh"):
        said = output([VE_PYTHON, "-m", "slipway", "completion", shell])
        assert all(word in said for word in ("rollback", "--skip-unreachable"))
