"""Two releases and one folder of static files, as a server has it: the second lacks a file and has another changed."""

import json

import pytest

from engine import docker
from proc import wait_until

from .web import Visitor, static_names, visitor

PASSWORD = "a ship in a bottle"
SIGNED_IN = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}


@pytest.fixture
def second(builders, project, name):
    """The second release: ship.svg is gone, site.css has changed."""
    (project / "project/static/ship.svg").unlink()
    style = project / "project/static/site.css"
    style.write_text(style.read_text().replace("ship.svg", "logo.svg") + "\n.second { color: inherit }\n")
    done = builders["classic"].make(project, "build", f"APP={name}", "TAG=release-2")
    assert done.returncode == 0, done.stdout
    return f"{name}:release-2"


def manifest(image):
    """{name in the code: name with its hash}."""
    shown = docker("run", "--rm", "--entrypoint=cat", image, "static-root/staticfiles.json").stdout
    return json.loads(shown)["paths"]


@pytest.fixture
def site(image, one_off, volume):
    """Options for a migrated database with an admin."""
    options = [f"--volume={volume}:/data"]
    assert one_off("migrate", options=options).returncode == 0
    words = ["createsuperuser", "--no-input", "--username=ann", "--email=ann@shop.example"]
    assert one_off("manage", *words, options=options, env=SIGNED_IN).returncode == 0
    return options


def named(container):
    """The static files that all pages name: a visitor's, those of errors, and those of staff."""
    guest, names = visitor(container, host="localhost"), set()
    paths = {"/": 200, "/no/such/page": 404, "/admin/login/": 200}
    for path, status in paths.items():
        answer = guest.ask(path)
        assert answer.status == status, path
        names |= static_names(answer.text)
    assert guest.sign_in("/admin/login/?next=/", "ann", PASSWORD).status == 302
    for path in ("/", "/admin/", "/admin/accounts/user/", "/admin/accounts/user/add/"):
        answer = guest.ask(path)
        assert answer.status == 200, path
        names |= static_names(answer.text)
    return names


def test_two_releases(image, second, run_container, one_off, site, tmp_path):
    """After the second release is published a freshly started first one still answers every page, with names of its
    own, and the folder has the files of both."""
    folder = tmp_path / "static"
    folder.mkdir()
    publish = [f"--volume={folder}:/static", "--user=0"]
    for release in (image, second):
        assert one_off("collectstatic", "/static", env=None, options=publish, of=release).returncode == 0
    names = {image: manifest(image), second: manifest(second)}
    assert "ship.svg" in names[image] and "ship.svg" not in names[second]
    assert names[image]["site.css"] != names[second]["site.css"]
    server = run_container("-m", "http.server", "--directory=/static", "8000",
                           options=[f"--volume={folder}:/static:ro", "--entrypoint=python"])
    files = Visitor(server.port())
    wait_until(lambda: files.ask("/").status == 200)
    for release in (image, second):
        found = named(run_container(options=site, of=release))
        assert names[release]["site.css"] in found and len(found) > 10
        assert found <= set(names[release].values()), found - set(names[release].values())
        for name in found | set(names[release].values()):
            assert (folder / name).is_file(), name
        for name in found:
            assert files.ask("/" + name).status == 200, name
    assert files.ask("/" + names[image]["ship.svg"]).status == 200
