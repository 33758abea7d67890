"""Our own operations and facts: files that come whole, looked at and written on this machine, and nginx's site."""

import dataclasses
import grp
import hashlib
import os
import pwd

import pytest
from pyinfra.operations import files

from slipway.deploy.provisioning.operations import Files, nginx_site, whole_file
from slipway.deploy.server.files import File
from slipway.deploy.server.site import Site
from deployer.recipes import Here, Host, work
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


def look(*paths):
    done = run(["sh", "-c", Files().command(paths).get_raw_value()])
    assert done.returncode == 0
    return Files().process(done.stdout.splitlines())


def test_the_fact_tells_kinds_owners_modes_targets_and_content(folder):
    """Every path that is there has its Entry, and one that is not has none; without a path nothing is asked."""
    found = look(*(f"{folder}/{name}" for name in ("file", "sub", "link", "nothing")))
    assert set(found) == {f"{folder}/{name}" for name in ("file", "sub", "link")}
    file, sub, link = (found[f"{folder}/{name}"] for name in ("file", "sub", "link"))
    assert (file.kind, file.user, file.group, file.mode) == ("f", OWNER, GROUP, "640")
    assert file.holds("text") and not file.holds("another")
    assert (sub.kind, sub.mode, sub.digest) == ("d", "755", "")
    assert (link.kind, link.target) == ("l", "../some where")
    assert look() == {}


def wanted(folder, name, content="text", mode="640", once=False):
    return File(f"{folder}/{name}", content, mode, OWNER, GROUP, once)


def changed(file, check=False, seen=None):
    """Whether an operation changes something, or with `check` would."""
    said = []
    session, problem = work(lambda: said.append(whole_file(file, seen, name="write").did_change()), Here(), check)
    assert problem is None, problem
    assert session.changes("web1") == ["write"] * said[0]
    return said[0]


@pytest.mark.parametrize("name, content, mode, once, changes", [
    ("file", "text", "640", False, False), ("file", "another", "640", True, False),
    ("file", "another", "640", False, True), ("file", "text", "600", False, True), ("file", "text", "600", True, True),
    ("nothing", "text", "640", False, True), ("nothing", "text", "640", True, True),
    ("link", "text", "644", False, True)])
def test_a_file_is_written_where_it_is_not_as_wanted(folder, name, content, mode, once, changes):
    """Another content (but for what is written once and for all) or mode, nothing at all or a link: --check says so and
    leaves it, the run brings it, the second changes nothing. What is written is another file from the beginning."""
    def state():
        there = os.lstat(folder / "file")
        return there.st_ino, there.st_mtime_ns, there.st_ctime_ns
    file, before = wanted(folder, name, content, mode, once), state()
    assert changed(file, check=True) is changes and state() == before
    assert changed(file) is changes and not changed(file) and not changed(file, check=True)
    assert changes or state() == before
    assert (folder / name).read_text() == ("text" if name == "file" and once else content)
    assert oct((folder / name).stat().st_mode)[-3:] == mode and not (folder / name).is_symlink()
    if (name, content, once) == ("file", "another", False):
        assert state()[0] != before[0]
    assert {path.name for path in folder.iterdir()} <= {"file", "sub", "link", name}, "nothing is left beside it"


def test_what_is_written_once_is_never_replaced(folder):
    """Settings may be a link to where a team keeps them: that stays, and its file gets owner and mode."""
    (folder / "link").unlink()
    (folder / "link").symlink_to("file")
    assert changed(wanted(folder, "link", "another", "600", once=True))
    assert (folder / "link").is_symlink() and (folder / "file").read_text() == "text"
    assert oct((folder / "file").stat().st_mode)[-3:] == "600"


def test_another_owner_is_put_right(folder):
    """By the fact; that is told in time or asked for."""
    file = wanted(folder, "file")
    there = look(file.path)
    assert not changed(file, check=True, seen=there)
    for change in ({"user": "another"}, {"group": "another"}, {"kind": "d"}, {"digest": "0"}):
        assert changed(file, check=True, seen={file.path: dataclasses.replace(there[file.path], **change)})
    assert changed(file, check=True, seen={})


def test_what_cannot_be_written_is_the_failure(folder):
    """In a line that names the operation; nobody goes on after it."""
    def both():
        whole_file(wanted(folder, "sub"), name="write sub")
        whole_file(wanted(folder, "nothing"), name="write nothing")
    session, problem = work(both, Here())
    assert str(problem) == f"write sub: {folder}/sub: Is a directory"
    assert session.changes("web1") == [] and not (folder / "nothing").exists()


def test_pyinfra_s_own_upload_comes_whole_too(folder, tmp_path):
    """files.put: an old file keeps its owner and mode until it says otherwise, a new one is its owner's alone."""
    (tmp_path / "source").write_text("new")
    for name, mode, at_once in (("file", "640", "640"), ("nothing", "644", "600")):
        host, modes = Here(), []

        async def put(path, content, mode, owner, group):
            modes.append(oct(mode)[2:])
            await Here.put(host, path, content, mode, OWNER, GROUP)
        host.put = put
        before = os.lstat(folder / "file").st_ino
        _, problem = work(lambda: files.put(src=str(tmp_path / "source"), dest=f"{folder}/{name}", mode=mode), host)
        assert problem is None and modes == [at_once]
        assert (folder / name).read_text() == "new" and oct((folder / name).stat().st_mode)[-3:] == mode
        assert name != "file" or os.lstat(folder / "file").st_ino != before


# ---- nginx ----

SITE = Site("x", {"/etc/nginx/x/a.conf": "text", "/etc/nginx/x/b.conf": "text"},
            {"/etc/nginx/sites-enabled/x": "../sites-available/x"}, ("/etc/nginx/sites-enabled/default",))


def entries(**changes):
    """What the fact says of SITE as it should be, but for `changes`: name of an entry → its line, or none."""
    digest = hashlib.sha256(b"text").hexdigest()
    lines = {"a": "f|root|root|644||/etc/nginx/x/a.conf\n", "b": "f|root|root|644||/etc/nginx/x/b.conf\n",
             "link": "l|root|root|777|../sites-available/x|/etc/nginx/sites-enabled/x\n",
             "digests": f"{digest}  /etc/nginx/x/a.conf\n{digest}  /etc/nginx/x/b.conf\n"}
    return "".join((lines | changes).values())


@pytest.mark.parametrize("change, written, script", [
    ({"a": ""}, ["/etc/nginx.new-x/x/a.conf"], "mv -fT /etc/nginx.new-x/x/a.conf /etc/nginx/x/a.conf"),
    ({"digests": ""}, ["/etc/nginx.new-x/x/a.conf", "/etc/nginx.new-x/x/b.conf"], "mv -fT"),
    ({"link": ""}, [], "ln -sfn ../sites-available/x /etc/nginx.new-x/sites-enabled/x"),
    ({"more": "l|root|root|777|../sites-available/default|/etc/nginx/sites-enabled/default\n"}, [],
     "rm -f /etc/nginx/sites-enabled/default"), ({}, [], "")])
def test_of_a_site_only_the_rest_is_done(change, written, script):
    """A file or link that differs, and what shall not be there; the copy is tested in any case, then swapped. One
    that is as wanted is looked at, and that is all."""
    host = Host({"sha256sum": entries(**change)})
    session, problem = work(lambda: nginx_site(SITE, name="put"), host)
    assert problem is None and [path for path, *_ in host.written] == written
    assert session.changes("web1") == ["put"] * bool(change)
    if not change:
        assert len(host.asked) == 1
        return
    _, copied, tested, swapped = host.asked
    assert "cp -a" in copied and "nginx -t" in tested and "|| systemctl reload nginx.service" in swapped
    assert not any(f" /etc/nginx/{name}" in copied + tested for name in ("x", "sites-enabled"))
    assert script in copied + swapped


def test_what_nginx_refuses_never_comes():
    """Its words are the failure, and nothing moves."""
    host = Host(failing="nginx -t")
    session, problem = work(lambda: nginx_site(SITE, name="put nginx site x in place"), host)
    assert str(problem) == "put nginx site x in place: some words\nit failed"
    assert not [asked for asked in host.asked if "mv -fT" in asked] and session.changes("web1") == []
