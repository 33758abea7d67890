"""What is written on a host outlives a power cut, and is for root's eyes alone where it holds secrets."""

import contextlib
import importlib.util
import os
from unittest import mock

from deploy import env
from deploy.agent import disk, releases, slots
from deploy.agent.attempt import Attempt
from deploy.agent.steps import STEPS
from deployer.simulated import world
from deployer.test_agent import Machine
from proc import ROOT


@contextlib.contextmanager
def watched():
    """The renames and syncs of the block, in their order: ("rename", path), ("sync", inode)."""
    found, rename = [], os.rename
    with mock.patch.object(os, "rename", lambda path, to: (rename(path, to), found.append(("rename", str(to))))), \
            mock.patch.object(os, "fsync", lambda number: found.append(("sync", os.fstat(number).st_ino))):
        yield found


def inode(path):
    return os.stat(path).st_ino


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path):
    """The file is synced, then renamed, then the folder is synced: whole at every moment, and there for good."""
    with watched() as found:
        disk.write(f"{tmp_path}/file", "text")
    assert found == [("sync", inode(tmp_path / "file")), ("rename", f"{tmp_path}/file"), ("sync", inode(tmp_path))]


def unsynced(found):
    """Folders that something was renamed into and that were not synced afterwards."""
    folders = {os.path.dirname(path): index for index, (kind, path) in enumerate(found) if kind == "rename"}
    return [folder for folder, index in folders.items() if ("sync", inode(folder)) not in found[index:]]


def test_a_commit_is_for_good(tmp_path):
    """After the renames of a commit each folder is synced that they went to."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        disk.write(machine.host.env + ".next", "SECRET_KEY=2\n", 0o600)
        attempt = Attempt(machine.host, program="/agent")
        for name, args in machine.steps("deploy", "v2")[:-1]:
            STEPS[name](machine.host, attempt, machine.say, **args)
        with watched() as found:
            STEPS["commit"](machine.host, attempt, machine.say)
    assert {path for kind, path in found if kind == "rename"} >= {machine.host.tag, machine.host.env}
    assert unsynced(found) == []


def test_staged_settings_are_for_good(tmp_path):
    """What files.py renames and removes is synced, too."""
    spec = importlib.util.spec_from_file_location("files", ROOT / "deploy/host/files.py")
    files = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(files)
    (tmp_path / "new").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/gone").write_text("")
    with watched() as found:
        files.commit({f"{tmp_path}/file": f"{tmp_path}/new"}, [f"{tmp_path}/folder/gone"])
    assert {entry for entry in found if entry[0] == "sync"} == {
        ("sync", inode(tmp_path)), ("sync", inode(tmp_path / "folder"))}
    assert unsynced(found) == []


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_settings_are_for_root_alone(tmp_path):
    """Those of a slot, of beat, of the release that is live and of the one that a rollback goes to."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        for number, tag in enumerate(("v1", "v2")):
            disk.write(host.env + ".next", f"SECRET_KEY={number}\n", 0o600)
            machine.attempt("deploy", tag)
    paths = [host.env, host.env + ".revert", *(host.slot_file(slot, "env") for slot in ("a", "b", "beat"))]
    assert {path: oct(mode(path)) for path in paths} == dict.fromkeys(paths, "0o600")
    assert releases.read_tag(host.tag)["tag"] == slots.release_in(host, slots.live(host))["tag"] == "v2"


def test_staged_settings_are_for_root_alone(fleet, monkeypatch):
    """The file that `deploy env` has written on every host."""
    asked = []

    @contextlib.contextmanager
    def sessions(hosts, *words, **options):
        yield {host.name: mock.Mock(ask=lambda message: asked.append(message) or {}) for host in hosts}
    monkeypatch.setattr(env, "sessions", sessions)
    monkeypatch.setattr(env, "settings_of", lambda session, paths: ("A=1\n", None))
    env.stage(fleet, None, fleet.app_hosts, lambda current, following: "A=2\n", [])
    written = [file for message in asked for file in message.get("write", ())]
    assert {(file["path"], file["mode"], file["owner"], file["group"]) for file in written} == {
        ("/etc/default/shop.env.next", "600", "root", "root")}
    assert len(written) == len(fleet.app_hosts)
