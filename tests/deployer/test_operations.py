"""pyinfra in our sessions, and our own operations and facts: files that are written atomically, and nginx's site."""

import asyncio
import grp
import hashlib
import os
import pwd

import pytest
from pyinfra.context import host
from pyinfra.operations import files, server

from deployer.recipes import STAT, Here, Host, work
from proc import put
from slipway.deploy.errors import Refused
from slipway.deploy.provisioning import connector
from slipway.deploy.provisioning import provision as provisioning
from slipway.deploy.provisioning.connector import stdin
from slipway.deploy.provisioning.operations import Files, nginx_site, whole_file
from slipway.deploy.server.files import File
from slipway.deploy.server.site import Site

OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def folder(tmp_path):
    """A folder with a space in its name that holds a file and a link."""
    made = tmp_path / "a folder"
    put(made / "file", "text").chmod(0o640)
    (made / "link").symlink_to("../some where")
    return made


def file_in(folder, name, content="text", mode="640", once=False):
    return File(f"{folder}/{name}", content, mode, OWNER, GROUP, once)


def changed(file, check=False):
    """Run an operation; return True if it changes something, or with `check` would."""
    said = []
    session, problem = work(lambda: said.append(whole_file(file, name="write").did_change()), Here(), check)
    assert problem is None, problem
    assert session.changes("web1") == (["write"] if said[0] else [])
    return said[0]


@pytest.mark.parametrize(
    "name, content, mode, once, changes",
    [
        ("file", "text", "640", False, False),
        ("file", "another", "640", True, False),
        ("file", "another", "640", False, True),
        ("file", "text", "600", False, True),
        ("file", "text", "600", True, True),
        ("nothing", "text", "640", False, True),
        ("nothing", "text", "640", True, True),
        ("link", "text", "644", False, True),
    ],
)
def test_a_file_is_written_where_it_is_not_as_wanted(folder, name, content, mode, once, changes):
    def state():
        there = os.lstat(folder / "file")
        return there.st_ino, there.st_mtime_ns, there.st_ctime_ns

    file, before = file_in(folder, name, content, mode, once), state()
    assert changed(file, check=True) is changes and state() == before
    assert changed(file) is changes and not changed(file) and not changed(file, check=True)
    assert changes or state() == before
    assert (folder / name).read_text() == ("text" if name == "file" and once else content)
    assert oct((folder / name).stat().st_mode)[-3:] == mode and not (folder / name).is_symlink()
    if (name, content, once) == ("file", "another", False):
        assert state()[0] != before[0]
    assert {path.name for path in folder.iterdir()} <= {"file", "link", name}, "nothing is left beside it"


def test_what_is_written_once_is_never_replaced(folder):
    (folder / "link").unlink()
    (folder / "link").symlink_to("file")
    assert changed(file_in(folder, "link", "another", "600", once=True))
    assert (folder / "link").is_symlink() and (folder / "file").read_text() == "text"
    assert oct((folder / "file").stat().st_mode)[-3:] == "600"


def test_pyinfra_s_own_upload_comes_whole_too(folder, tmp_path):
    (tmp_path / "source").write_text("new")
    for name, mode, at_once in (("file", "640", "640"), ("nothing", "644", "600")):
        host, modes = Here(), []

        async def upload(path, content, mode, owner, group):
            modes.append(oct(mode)[2:])
            await Here.put(host, path, content, mode, OWNER, GROUP)

        host.put = upload
        before = os.lstat(folder / "file").st_ino
        _, problem = work(lambda: files.put(src=str(tmp_path / "source"), dest=f"{folder}/{name}", mode=mode), host)
        assert problem is None and modes == [at_once]
        assert (folder / name).read_text() == "new" and oct((folder / name).stat().st_mode)[-3:] == mode
        assert name != "file" or os.lstat(folder / "file").st_ino != before


SITE = Site(
    "x",
    {"/etc/nginx/x/a.conf": "text", "/etc/nginx/x/b.conf": "text"},
    {"/etc/nginx/sites-enabled/x": "../sites-available/x"},
    ("/etc/nginx/sites-enabled/default",),
)


def entries(**changes):
    """Return the lines of the fact for SITE in its wanted state, except for `changes`: entry → its line, or ""."""
    digest = hashlib.sha256(b"text").hexdigest()
    lines = {
        "a": "f|root|root|644||/etc/nginx/x/a.conf\n",
        "b": "f|root|root|644||/etc/nginx/x/b.conf\n",
        "link": "l|root|root|777|../sites-available/x|/etc/nginx/sites-enabled/x\n",
        "digests": f"{digest}  /etc/nginx/x/a.conf\n{digest}  /etc/nginx/x/b.conf\n",
    }
    return "".join((lines | changes).values())


@pytest.mark.parametrize(
    "change, written, script",
    [
        ({"a": ""}, ["/etc/nginx.new-x/x/a.conf"], "mv -fT /etc/nginx.new-x/x/a.conf /etc/nginx/x/a.conf"),
        ({"digests": ""}, ["/etc/nginx.new-x/x/a.conf", "/etc/nginx.new-x/x/b.conf"], "mv -fT"),
        ({"b": "f|root|root|666||/etc/nginx/x/b.conf\n"}, ["/etc/nginx.new-x/x/b.conf"], "mv -fT"),
        ({"b": "f|ann|root|644||/etc/nginx/x/b.conf\n"}, ["/etc/nginx.new-x/x/b.conf"], "mv -fT"),
        ({"link": ""}, [], "ln -sfn ../sites-available/x /etc/nginx.new-x/sites-enabled/x"),
        (
            {"more": "l|root|root|777|../sites-available/default|/etc/nginx/sites-enabled/default\n"},
            [],
            "rm -f /etc/nginx/sites-enabled/default",
        ),
        ({}, [], ""),
    ],
)
def test_of_a_site_only_the_rest_is_done(change, written, script):
    host = Host({"sha256sum": entries(**change)})
    session, problem = work(lambda: nginx_site(SITE, name="put"), host)
    assert problem is None and [path for path, *_ in host.written] == written
    assert session.changes("web1") == (["put"] if change else [])
    if not change:
        assert len(host.asked) == 1
        return
    _, copied, tested, swapped = host.asked
    assert "cp -a" in copied and "nginx -t" in tested and "|| systemctl reload nginx.service" in swapped
    assert not any(f" /etc/nginx/{name}" in copied + tested for name in ("x", "sites-enabled"))
    assert script in copied + swapped


def test_what_takes_long_is_said_before(capsys):
    def call():
        server.shell(name="short", commands="true")
        server.shell(name="long", commands="true", _timeout=9)

    for check, said in ((False, [("web1", "long")]), (True, [])):
        announced = []
        work(call, check=check, announced=announced)
        assert announced == said
    provisioning.announce("a", "install nginx")
    assert capsys.readouterr().out == "a: install nginx …\n"


def test_what_takes_long_is_said_again_and_again(monkeypatch):
    """With its seconds: of an operation, and of a look at the host before it."""
    monkeypatch.setattr(connector, "NOTE", 0.01)
    announced = []

    class Slow(Host):
        async def command(self, script, input=b"", timeout=600):
            many = len(announced)
            async with asyncio.timeout(60):
                while len(announced) < many + 2:  # it works until it was said twice
                    await asyncio.sleep(0.01)
            return await super().command(script, input, timeout)

    def call():
        host.get_fact(Files, paths=["/x"])
        server.shell(name="long", commands="true", _timeout=9)

    _, problem = work(call, Slow(), announced=announced)
    said = [text for _, text in announced]
    assert problem is None and said[0] == "look at the server, 0 s" and "long" in said and said[-1] == "long, 0 s"


@pytest.mark.parametrize("check", [False, True])
def test_what_follows_a_change_follows_it(check):
    there = Host({"test -L /there": STAT.format("/there").replace("-rw-r--r--", "drwxr-xr-x")})
    said = []

    def call():
        one, two = (files.directory(name=path, path=path) for path in ("/there", "/nothing"))
        said.append((one.did_change(), two.did_change()))
        server.shell(name="after one", commands="one", _if=one.did_change)
        server.shell(name="after two", commands="two", _if=two.did_change)
        server.shell(name="after both", commands="both", _if=[one.did_change, two.did_change])

    session, problem = work(call, there, check)
    assert problem is None and said == [(False, True)] and session.changes("web1") == ["/nothing", "after two"]
    done = [script for script in there.asked if "stat" not in script]
    assert done == ([] if check else ["sh -c 'mkdir -p /nothing'", "sh -c two"])


@pytest.mark.parametrize("check", [False, True])
def test_what_fails_ends_it(check):
    def call():
        for name in ("one", "two", "three"):
            server.shell(name=name, commands=name)

    host = Host(failing="two")
    if not check:
        session, problem = work(call, host)
        assert str(problem) == "two: some words\nit failed" and session.changes("web1") == ["one"]
        assert host.asked == ["sh -c one", "sh -c two"]
    host = Host(failing="stat")
    _, problem = work(lambda: files.directory(name="make", path="/x"), host, check)
    assert str(problem) == ("" if check else "make: ") + "some words\nit failed" and len(host.asked) == 1
    _, problem = work(lambda: server.shell(name="one", commands=1 / 0), check=check)
    assert str(problem).endswith("ZeroDivisionError: division by zero") and "session.py, line" in str(problem)


def test_commands_get_their_input_and_codes():
    assert (stdin(None), stdin("a"), stdin(["a", "b\n"])) == (b"", b"a\n", b"a\nb\n")
    said = []

    def call():
        said.append(server.shell(name="one", commands="cat; exit 3", _stdin="ü", _success_exit_codes=[3]).stdout)

    _, problem = work(call, Here())
    assert problem is None and said == ["ü"]


def loaded(monkeypatch, tmp_path, text, folder="deploy"):
    """Return operations_of_the_team() for a provision_more.py with this text, where DEPLOY_FOLDER is `folder`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DEPLOY_FOLDER", folder)
    put(tmp_path / folder / "provision_more.py", text)
    put(tmp_path / folder / "beside.py", "SIZE = 1\n")
    return provisioning.operations_of_the_team()


FOLDERS = ["deploy", "ops/", "./ops", "var/fleet", "/ABSOLUTE/ops.d"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_team_s_part_is_called(monkeypatch, tmp_path, fleet, folder):
    """It is found in each form of DEPLOY_FOLDER, and may import what is beside it."""
    monkeypatch.chdir(tmp_path)
    assert provisioning.operations_of_the_team()(fleet, fleet.hosts[0]) is None
    text = "def provision(fleet, host):\n    return fleet.app, host.name\n"
    beside = "" if "ABSOLUTE" in folder else "from . import beside\n"
    function = loaded(monkeypatch, tmp_path, beside + text, folder.replace("/ABSOLUTE", str(tmp_path)))
    assert function(fleet, fleet.hosts[0]) == ("shop", "web1")


@pytest.mark.parametrize("folder", FOLDERS[:4])
def test_a_mistake_in_a_team_s_part_is_told_with_its_place(monkeypatch, tmp_path, fleet, folder):
    function = loaded(monkeypatch, tmp_path, "def provision(fleet, host):\n    return fleet.nothing\n", folder)
    _, problem = work(lambda: function(fleet, fleet.hosts[0]))
    assert str(problem).startswith(f"{os.path.normpath(folder)}/provision_more.py, line 2: AttributeError: "), problem


@pytest.mark.parametrize(
    "text, message",
    [
        ("def provision(", "SyntaxError"),
        ("import nowhere", "No module named 'nowhere'"),
        ("x = 1 / 0", "division by zero"),
        ("", "has no attribute 'provision'"),
    ],
)
def test_a_team_s_part_that_cannot_be_read_is_refused(monkeypatch, tmp_path, text, message):
    with pytest.raises(Refused, match=r"^deploy/provision_more.py: .*" + message):
        loaded(monkeypatch, tmp_path, text)
