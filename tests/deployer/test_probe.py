"""The probe's script on a machine: whose a name is there, and whether settings will do. It only reads."""

import os
import shutil
from pathlib import Path

import pytest

from deploy import desired, probe
from deploy.config import Fleet
from deploy.things import File
from proc import ROOT, run

BEFORE = ROOT / "tests/e2e/before/every"  # files of a server as the version before made it

# A machine that has what these stand for, and nothing else.
STAND_INS = {
    "dpkg": 'case $2 in */etc/default/grub) echo "grub-common: $2" ;; *) exit 1 ;; esac',
    "getent": 'case $2 in messagebus) echo "messagebus:x:101:104::/nonexistent:/usr/sbin/nologin" ;; *) exit 2 ;; esac',
    "stat": "echo root", "systemctl": "echo systemd 252", "apt-get": ":", "docker-runner": ":", "dockerd": ":"}


@pytest.fixture(params=["dash", "busybox"])
def look(request, tmp_path):
    """look(app, remove=False): the problems that the probe finds on the machine below tmp_path."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    shell = {"dash": ["dash"], "busybox": ["busybox", "sh"]}[request.param]
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, script in STAND_INS.items():
        (stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (stubs / name).chmod(0o755)

    def call(app, remove=False):
        fleet = Fleet(app, "r.example/x", (), site={"tls": "off"}, server={"packages": []})
        _, _, script, *words = probe.words(fleet, remove)
        words = [" ".join(f"{tmp_path}{word}" if word.startswith("/") else word for word in one.split())
                 for one in words]
        done = run([*shell, "-c", script, *words], env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"},
                   timeout=60)
        assert done.stdout.endswith("end\n") and not done.stderr, done.stderr
        return [line.partition(" ")[2].replace(str(tmp_path), "") for line in done.stdout.splitlines()
                if line.startswith("problem has ") and "nginx.conf" not in line]
    return call


def put(tmp_path, path, content=""):
    file = tmp_path / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


CURE = " that provisioning has not made: choose another name for the app, or remove that"


@pytest.mark.parametrize("app, paths, said", [
    ("lock", ["/run/lock/x"], "/run/lock (of root)"),
    ("grub", ["/etc/default/grub"], "/etc/default/grub (of the package grub-common)"),
    ("default", ["/etc/nginx/sites-available/default", "/usr/lib/systemd/system/default.target"],
     "/etc/nginx/sites-available/default (of root), /usr/lib/systemd/system/default.target (of root)"),
    ("tmp", ["/usr/lib/tmpfiles.d/tmp.conf"], "/usr/lib/tmpfiles.d/tmp.conf (of root)"),
    ("redis", ["/etc/default/redis"], "/etc/default/redis (of root)"),
    ("messagebus", [], "the user messagebus, the group messagebus")])
def test_a_name_that_something_else_goes_by(look, tmp_path, app, paths, said):
    """All that bears the name is told, and whose it is; nothing is told of a name that is free."""
    for path in paths:
        put(tmp_path, path, "IMAGE=redis:7\n")
    assert look(app) == [f"has {said}{CURE}"]
    assert look(app, remove=True) == [f"has {said}{CURE}"]
    assert look("shop") == []


def ours(fleet, name):
    """The first files that provisioning writes on a host, by path."""
    host = next(host for host in fleet.hosts if host.name == name)
    return {thing.path: thing.content for thing in [*desired.app_files(fleet, host), *desired.units(fleet, host, True)]
            if isinstance(thing, File)}


@pytest.mark.parametrize("before", [False, True], ids=["now", "by the version before"])
@pytest.mark.parametrize("mark", ["/etc/default/shop", "/etc/systemd/system/shop.target"])
def test_what_provisioning_has_made_is_ours(look, tmp_path, fleet, mark, before):
    """One file of ours says that all of the name is: the first that is written, and the units of who did it by hand."""
    for path in ("/var/www/shop/TAG", "/run/shop/web.sock", "/etc/systemd/system/shop-web@.service"):
        put(tmp_path, path)
    assert len(look("shop")) == 1
    put(tmp_path, mark, Path(f"{BEFORE}{mark}").read_text() if before else ours(fleet, "web1")[mark])
    assert look("shop") == []


def test_the_mark_is_written_first(fleet):
    """Whenever provisioning breaks off, what it has made bears the mark."""
    assert next(desired.app_files(fleet, fleet.hosts[0])).path == desired.marks("shop")[0]


def test_settings_that_the_new_docker_runner_would_refuse(look, tmp_path, fleet):
    """They are told before it comes: with it, a container that has to start again would not. Removal is not kept."""
    put(tmp_path, "/etc/default/shop", ours(fleet, "web1")["/etc/default/shop"])
    put(tmp_path, "/etc/default/shop.env", "A=1\n")
    put(tmp_path, "/run/shop/a.env", "A=1\nB= planted\n")
    put(tmp_path, "/run/shop/beat.env", "A=1\n")
    assert look("shop") == ["has /run/shop/a.env that docker-runner will not take (line 2): correct it"]
    assert look("shop", remove=True) == []
