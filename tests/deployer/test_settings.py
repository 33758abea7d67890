"""What the agent writes for settings and provisioning: whole files, and of settings two halves."""

import base64
import os

import pytest

from slipway.deploy.agent import disk, serve, staging, shell
from slipway.deploy.agent.host import Host, Problem

SECRETS = {"KEY.1": base64.b64encode(b"\xffsecret").decode()}
OWN = (os.getuid(), os.getgid())


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with settings; whatever it writes is ours. `asked`: whose it should be."""
    host = Host("shop", str(tmp_path))
    for folder in ("/etc/default/shop.secrets", "/run/shop"):
        os.makedirs(str(tmp_path) + folder)
    disk.write(host.env, "A=1\n")
    host.asked = []

    def ids(owner, group):
        host.asked.append((owner, group))
        return OWN
    monkeypatch.setattr(shell, "ids", ids)
    return host


def text(content):
    return base64.b64encode(content).decode()


def listing(host):
    """Every file below /etc/default: its content and mode."""
    return {os.path.relpath(os.path.join(folder, name), host.root + "/etc/default"): (
        disk.read_bytes(os.path.join(folder, name)), oct(os.stat(os.path.join(folder, name)).st_mode & 0o7777))
        for folder, _, names in os.walk(host.root + "/etc/default") for name in names}


LIVE = {"shop.env": (b"A=1\n", "0o644")}


def test_settings_are_read(host):
    """As they are, byte for byte, and as they are staged, if they are."""
    assert staging.read_settings(host) == {"settings": text(b"A=1\n"), "staged": None}
    disk.write(host.next_env, b"\xff")
    assert staging.read_settings(host)["staged"] == text(b"\xff")
    disk.remove(host.env)
    with pytest.raises(Problem, match=f"there is no {host.env}: run make provision first"):
        staging.read_settings(host)


def test_nothing_takes_effect_before_it_is_kept(host):
    """What is staged lies beside its place; then it is renamed there, root's alone or for its app to read."""
    staging.stage(host, text(b"A=2\n"), SECRETS)
    new = {"shop.env.next.new": (b"A=2\n", "0o600"), "shop.secrets/KEY.1.new": (b"\xffsecret", "0o640")}
    assert listing(host) == {**LIVE, **new}
    staging.finish_staging(host, [*SECRETS])
    assert listing(host) == {**LIVE, **{name.removesuffix(".new"): found for name, found in new.items()}}
    assert host.asked == [("root", "shop"), ("root", "root")]


def test_who_leaves_after_asking_for_it_has_it_kept(host, monkeypatch):
    """The input ends right behind the question: what was heard is done whole, on every host that has heard it."""
    staging.stage(host, text(b"A=2\n"), SECRETS)
    monkeypatch.setattr(serve, "Host", lambda app: host)
    monkeypatch.setattr(serve, "lines", lambda: [{"id": 1, "do": "keep", "args": {"files": [*SECRETS]}}])
    monkeypatch.setattr(serve.os, "_exit", lambda code: None)
    monkeypatch.setattr(serve.threading.Thread, "start", lambda thread: None)  # one that has no time to
    serve.work("shop", "/agent")
    assert set(listing(host)) == {"shop.env", "shop.env.next", "shop.secrets/KEY.1"}


def test_whoever_leaves_before_that_leaves_nothing(host, monkeypatch):
    """The end of the lock, however it comes, takes back what was staged; not what was kept before. A folder in the way
    is told where something is staged, and passed over where it is taken back."""
    monkeypatch.setattr(serve, "Host", lambda app: host)
    disk.write(host.env + ".next", "A=0\n", 0o600)
    before = listing(host)
    staging.stage(host, text(b"A=2\n"), SECRETS)
    serve.main(["takeback", "shop"], b"", "")
    assert listing(host) == before
    os.makedirs(host.env + ".next.new/x")
    with pytest.raises(OSError, match="Is a directory"):
        staging.stage(host, text(b"A=2\n"), SECRETS)
    serve.main(["takeback", "shop"], b"", "")
    assert listing(host) == before


def test_a_file_is_put_whole(host, tmp_path, monkeypatch):
    """With its mode and owner before it has its name; any bytes. A folder or an owner that is not there is told, and
    nothing is written."""
    path = str(tmp_path / "file")
    os.symlink(tmp_path / "elsewhere", path + ".new")  # left by a power cut: replaced, and not followed
    shell.put(host, path, text(b"\xff\n"), 0o750, "root", "www-data")
    assert (disk.read_bytes(path), os.stat(path).st_mode & 0o7777, host.asked) == (
        b"\xff\n", 0o750, [("root", "www-data")])
    monkeypatch.undo()
    for name, owner, said in (("no/such", "root", "No such file or directory"), ("b", "nobody-here", "nobody-here")):
        with pytest.raises((OSError, Problem), match=said):
            shell.put(host, f"{tmp_path}/{name}", text(b""), 0o644, owner, "root")
    assert not {"b", "b.new", "file.new", "elsewhere"} & {*os.listdir(tmp_path)}
