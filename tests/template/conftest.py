"""The template with its releases, and projects made from it; each is made once for all workers."""

import pytest

from checkout import Folder, Project
from proc import output, passed
from sharing import once
from theirs import Theirs

from .releases import FIRST, releases
from .team import work


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """Return the template of the projects: today's files and two older releases. No test changes it."""
    return Folder(once(tmp_path_factory, "a template", releases))


@pytest.fixture
def clone(template, tmp_path):
    """Return a clone of the template."""
    output(["git", "clone", "--quiet", template.folder, tmp_path / "clone"], env=template.env)
    return Folder(tmp_path / "clone")


@pytest.fixture(scope="session")
def started(template, tmp_path_factory):
    """Return a project from make new, in a folder whose name is no valid app name. No test changes it."""

    def make(path):
        path.mkdir()
        passed(template.make("new", f"NAME={path}/My shop"))
        Project(path / "My shop")

    return Project(once(tmp_path_factory, "started", make) / "My shop")


@pytest.fixture(scope="session")
def worked_on(template, tmp_path_factory):
    """Return a project of the first release that a team has changed."""
    options = "--vcs-ref", FIRST, "--data", "app=shop", "--data", "ci=gitlab"
    return once(tmp_path_factory, "shop", lambda path: work(Project.made(template.folder, path, *options)))


@pytest.fixture
def theirs(template, tmp_path):
    """Return a function that makes a project of these files."""
    return lambda files: Theirs(tmp_path / "my shop", files, template)
