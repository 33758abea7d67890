"""A front end, examples/frontend by the lines of docs/node.md, in the image: real packages of npm's registry."""

import os
import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from engine import docker
from proc import ROOT, run, wait_until

from .conftest import containers

LINES = re.search(r"```html\n(.*?)```", (ROOT / "docs/node.md").read_text(), re.DOTALL)[1]


@pytest.fixture
def fronted(project):
    """The project with the example laid over it."""
    if not shutil.which("npm"):
        pytest.fail("npm is not installed") if os.environ.get("CI") else pytest.skip("npm is not installed")
    shutil.copytree(ROOT / "examples/frontend", project, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("node_modules"))
    base = project / "project/templates/base.html"
    base.write_text(base.read_text().replace("</head>", f"{LINES}</head>", 1))
    return project


def page(site, path):
    with urllib.request.urlopen(site.url(path), timeout=30) as answer:
        return answer.read().decode()


def test_a_front_end(builder, fronted, name, settings):
    """make build bundles it, without the registry once packages are there; the site hands it out, each file by its
    hash, and nothing of Node is in the image."""
    for target in ("node_modules/sentinel", "eslint"):
        done = run(["make", "-f", "node.mk", target], 300, cwd=fronted)
        assert done.returncode == 0, done.stdout + done.stderr
    builder.env = {**builder.env, "npm_config_offline": "true"}
    tag = f"front-{builder.name}"
    done = builder.make(fronted, "-f", "node.mk", "build", f"APP={name}", f"TAG={tag}")
    assert done.returncode == 0, done.stdout
    with containers(f"{name}:{tag}", settings) as start:
        site = start()
        site.execute("./docker-run.sh", "migrate")
        wait_until(lambda: page(site, "/healthz"))
        script, style = re.findall(r'"(/static/built/app\.[0-9a-f]{12}\.(?:js|css))"', page(site, "/"))[::-1]
        assert "Good morning" in page(site, script) and "data-greeting" in page(site, style)
    files = docker("run", "--rm", "--entrypoint", "find", f"{name}:{tag}", "/app", "/ve", "/usr", "-name", "*node*",
                   "-o", "-name", "package*.json", "-o", "-name", "manage.py").stdout.split()
    assert "/app/manage.py" in files and not {Path(path).name for path in files} & {
        "node", "nodejs", "node_modules", "package.json", "package-lock.json"}, files
