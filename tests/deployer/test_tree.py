"""What is on a host, looked at by the real script in a folder of the test's, and what of the wanted that settles."""

import grp
import os
import pwd

import pytest

from deploy.things import Absent, File, Folder, Group, Site
from deploy.tree import digest, parse, paths_of, script, settled, unsettled
from proc import run

OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def folder(tmp_path):
    """A folder with a space in its name that holds a file, a folder and a link."""
    made = tmp_path / "a folder"
    made.mkdir()
    (made / "file").write_text("text")
    (made / "file").chmod(0o640)
    (made / "sub").mkdir(mode=0o755)
    (made / "link").symlink_to("../some where")
    return made


def look(folder):
    names = ("file", "sub", "link", "nothing")
    done = run(["sh", "-c", script([f"{folder}/{name}" for name in names])])
    assert done.returncode == 0
    return parse(done.stdout)


def test_the_script_sees_kinds_owners_modes_targets_and_content(folder):
    """Every path that is there has its Entry, and one that is not has none."""
    tree = look(folder)
    assert set(tree) == {f"{folder}/{name}" for name in ("file", "sub", "link")}
    file, sub, link = (tree[f"{folder}/{name}"] for name in ("file", "sub", "link"))
    assert (file.kind, file.owner, file.group, file.mode, file.digest) == ("f", OWNER, GROUP, "640", digest("text"))
    assert (sub.kind, sub.mode) == ("d", "755")
    assert (link.kind, link.target) == ("l", "../some where")


def wanted(folder, name, content="text", mode="640", once=False, owner=OWNER):
    return File(f"{folder}/{name}", content, mode, owner, GROUP, once)


def test_what_is_as_wanted_is_settled(folder):
    """A file of that content, owner and mode; a folder of that mode, or any where none is asked; what shall not be."""
    tree = look(folder)
    assert settled(wanted(folder, "file"), tree)
    assert settled(wanted(folder, "file", "another", once=True), tree)
    assert settled(Folder(f"{folder}/sub"), tree)
    assert settled(Folder(f"{folder}/sub", "755", OWNER, GROUP), tree)
    assert settled(Absent(f"{folder}/nothing"), tree)


def test_what_is_not_as_wanted_is_not(folder):
    """Another content, mode, owner or kind, nothing at all, or something that shall go."""
    tree = look(folder)
    for thing in (wanted(folder, "file", "another"), wanted(folder, "file", mode="600"),
                  wanted(folder, "file", owner="another"), wanted(folder, "file", mode="600", once=True),
                  wanted(folder, "nothing"), wanted(folder, "nothing", once=True), wanted(folder, "link"),
                  wanted(folder, "sub"), Folder(f"{folder}/file"), Folder(f"{folder}/sub", "700", OWNER, GROUP),
                  Absent(f"{folder}/file"), Absent(f"{folder}/link")):
        assert not settled(thing, tree), thing


def test_of_a_site_only_the_rest_is_done(folder):
    """Files with another content, links that lead elsewhere, and what shall not be but is."""
    file, link, nothing = (f"{folder}/{name}" for name in ("file", "link", "nothing"))
    tree = look(folder)
    assert unsettled(Site("x", {file: "text"}, {link: "../some where"}, (nothing,)), tree) == ({}, {}, [])
    site = Site("x", {file: "new", nothing: "text"}, {link: "elsewhere"}, (f"{folder}/sub",))
    assert unsettled(site, tree) == ({file: "new", nothing: "text"}, {link: "elsewhere"}, [f"{folder}/sub"])


def test_every_path_is_looked_at():
    """Paths come from all things, those in groups and sites too."""
    site = Site("x", {"/a": ""}, {"/b": "/a"}, ("/c",))
    assert list(paths_of([Group((File("/d", ""), Absent("/e")), "true"), site, Folder("/f")])) == [
        "/d", "/e", "/a", "/b", "/c", "/f"]
