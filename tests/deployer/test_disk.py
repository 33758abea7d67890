"""Files that the agent writes on a host, above all settings: they are complete, and survive a power cut."""

import contextlib
import errno
import os
from pathlib import Path
from unittest import mock

import pytest

from slipway.deploy.agent import disk, serve, shell, staging
from slipway.deploy.agent.host import Host
from slipway.deploy.agent.steps.table import STEPS
from slipway.deploy.ssh.connection import encoded


@contextlib.contextmanager
def watched():
    """Yield the renames and syncs of the block, in their order: ("rename", path), ("sync", inode)."""
    found, rename = [], os.rename
    with (
        mock.patch.object(os, "rename", lambda path, to: (rename(path, to), found.append(("rename", str(to))))),
        mock.patch.object(os, "fsync", lambda number: found.append(("sync", os.fstat(number).st_ino))),
    ):
        yield found


@pytest.mark.parametrize("fails", ["rename", "fsync"])
def test_why_a_file_cannot_be_written_is_told(fails, tmp_path):
    def broken(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    with (
        mock.patch.object(os, fails, broken),
        mock.patch.object(os, "unlink", read_only),
        pytest.raises(OSError, match="Input/output error"),
    ):
        disk.write(f"{tmp_path}/file", "text")


def unsynced(result):
    """Return the folders that were not synced after the last rename into them."""
    folders = {os.path.dirname(path): index for index, (kind, path) in enumerate(result) if kind == "rename"}
    return [folder for folder, index in folders.items() if ("sync", os.stat(folder).st_ino) not in result[index:]]


def test_a_commit_is_for_good(machine):
    host = machine.host
    disk.write(host.env + ".next", "SECRET_KEY=2\n", 0o600)
    attempt = machine.begun("deploy", "v2", -1)
    with watched() as found:
        STEPS["commit"](host, attempt, machine.say)
    assert {path for kind, path in found if kind == "rename"} >= {host.tag, host.env}
    assert unsynced(found) == []


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("file", tmp_path / "link")
    (tmp_path / "file").write_bytes(b"text" * 2000)
    before = os.listdir("/proc/self/fd")
    assert [disk.read_small(f"{tmp_path}{name}") for name in ("", "/pipe", "/link", "/none")] == [None] * 4
    assert disk.read_small(f"{tmp_path}/file") == "text" * 1024 and disk.read_small(f"{tmp_path}/file", 3) == "tex"
    assert os.listdir("/proc/self/fd") == before


def test_a_damaged_log_is_added_to_as_it_is(machine):
    damaged = Path(machine.host.log).read_bytes() + b"\xff torn\n"
    Path(machine.host.log).write_bytes(damaged)
    machine.attempt("deploy", "v2")
    assert Path(machine.host.log).read_bytes().startswith(damaged)


SECRETS = {"KEY.1": encoded(b"\xffsecret")}
OWN = (os.getuid(), os.getgid())


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with settings; its files belong to the tests' user. `asked`: (owner, group) that the agent wanted."""
    host = Host("shop", str(tmp_path))
    for folder in ("/etc/default/shop.secrets", "/run/shop"):
        os.makedirs(str(tmp_path) + folder)
    disk.write(host.env, "A=1\n")
    host.asked = []

    def ids(owner, group):
        host.asked.append((owner, group))
        return OWN

    monkeypatch.setattr(shell, "owner_ids", ids)
    monkeypatch.setattr(serve, "Host", lambda app: host)
    return host


def listing(host):
    """Return the content and mode of every file below /etc/default."""
    return {
        os.path.relpath(os.path.join(folder, name), host.root + "/etc/default"): (
            disk.read_bytes(os.path.join(folder, name)),
            oct(os.stat(os.path.join(folder, name)).st_mode & 0o7777),
        )
        for folder, _, names in os.walk(host.root + "/etc/default")
        for name in names
    }


LIVE = {"shop.env": (b"A=1\n", "0o644")}


def test_nothing_takes_effect_before_it_is_kept(host):
    """Both halves of it are for good."""
    with watched() as found:
        staging.stage(host, encoded(b"A=2\n"), SECRETS)
    new = {"shop.env.next.new": (b"A=2\n", "0o600"), "shop.secrets/KEY.1.new": (b"\xffsecret", "0o640")}
    assert listing(host) == {**LIVE, **new}
    assert {("sync", os.stat(f"{host.root}/etc/default/{name}").st_ino) for name in new} <= {*found}
    with watched() as found:
        staging.finish_staging(host, [*SECRETS])
    assert [os.path.basename(path) for kind, path in found if kind == "rename"] == ["KEY.1", "shop.env.next"]
    assert unsynced(found) == []
    assert listing(host) == {**LIVE, **{name.removesuffix(".new"): found for name, found in new.items()}}
    assert host.asked == [("root", "shop"), ("root", "root")]


def test_who_leaves_after_asking_for_it_has_it_kept(host, monkeypatch):
    staging.stage(host, encoded(b"A=2\n"), SECRETS)
    monkeypatch.setattr(serve, "lines", lambda kind: [{"id": 1, "do": "keep", "args": {"files": [*SECRETS]}}])
    monkeypatch.setattr(serve.os, "_exit", lambda code: None)
    monkeypatch.setattr(serve.threading.Thread, "start", lambda thread: None)  # the exit would end a thread
    serve.work("shop", "/agent")
    assert set(listing(host)) == {"shop.env", "shop.env.next", "shop.secrets/KEY.1"}


def test_whoever_leaves_before_that_leaves_nothing(host):
    disk.write(host.env + ".next", "A=0\n", 0o600)
    before = listing(host)
    staging.stage(host, encoded(b"A=2\n"), SECRETS)
    serve.main("/agent", ["takeback", "shop"])
    assert listing(host) == before
    os.makedirs(host.env + ".next.new/x")
    with pytest.raises(OSError, match="Is a directory"):
        staging.stage(host, encoded(b"A=2\n"), SECRETS)
    serve.main("/agent", ["takeback", "shop"])
    assert listing(host) == before


def test_a_file_is_put_whole(host, tmp_path, monkeypatch):
    path = str(tmp_path / "file")
    os.symlink(tmp_path / "elsewhere", path + ".new")  # left by a power cut: it is replaced, not followed
    shell.put(host, path, encoded(b"\xff\n"), 0o750, "root", "www-data")
    assert (disk.read_bytes(path), os.stat(path).st_mode & 0o7777, host.asked) == (
        b"\xff\n",
        0o750,
        [("root", "www-data")],
    )
    monkeypatch.undo()
    for name, owner, said in (("no/such", "root", "No such file or directory"), ("b", "nobody-here", "nobody-here")):
        with pytest.raises((OSError, KeyError), match=said):
            shell.put(host, f"{tmp_path}/{name}", encoded(b""), 0o644, owner, "root")
    assert not {"b", "b.new", "file.new", "elsewhere"} & {*os.listdir(tmp_path)}
