"""A project that others have begun, as an image."""

import json
import shutil
import urllib.request

from checkout import Folder
from proc import wait_until
from theirs import LAYERS, Theirs

from .conftest import containers


def test_adopted(builders, project, name, settings, tmp_path):
    """What adopt.py writes builds, runs the project's tests in the build, and is served."""
    theirs = Theirs(tmp_path / "theirs", LAYERS, Folder(project))
    theirs.adopted("--level", "image", "--apply")
    for path in ("requirements.txt", "requirements/dev.txt"):  # so that the wheelhouse holds
        shutil.copy(project / path, theirs.folder / path)
    shutil.copytree(project / "wheelhouse", theirs.folder / "wheelhouse")
    with (theirs.folder / "manage.py").open("a") as manage:
        manage.write(f"# {name}: no run before has made this\n")
    done = builders["classic"].make(theirs.folder, "build", f"APP={name}", "TAG=adopted")
    assert done.returncode == 0 and "Ran 1 test" in done.stdout, done.stdout
    with containers(f"{name}:adopted", settings) as start:
        site = start()
        site.execute("./docker-run.sh", "migrate")
        wait_until(lambda: json.load(page(site, "/readyz"))["ready"])
        assert page(site, "/").read() == b"the shop"


def page(site, path):
    return urllib.request.urlopen(site.url(path), timeout=30)
