"""The template with its releases, and projects made of it; each is made once for all workers."""

import pytest

from checkout import Folder, Project
from sharing import once

from .releases import FIRST, releases
from .team import work


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """What projects are made of: today's files, and the two releases before. No test changes it."""
    return Folder(once(tmp_path_factory, "a template", releases))


@pytest.fixture(scope="session")
def started(template, tmp_path_factory):
    """A project that make new has made, in a folder whose name makes no name of an app as it is. No test changes it."""
    def make(path):
        path.mkdir()
        done = template.make("new", f"NAME={path}/My shop")
        assert done.returncode == 0, done.stderr
        Project(path / "My shop")
    return Project(once(tmp_path_factory, "started", make) / "My shop")


@pytest.fixture(scope="session")
def worked_on(template, tmp_path_factory):
    """A project of the first release on which a team has worked."""
    options = "--vcs-ref", FIRST, "--data", "app=shop"
    return once(tmp_path_factory, "shop", lambda path: work(Project.made(template.folder, path, *options)))
