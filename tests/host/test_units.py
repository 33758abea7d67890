"""What systemd, upstart and sh get: rendered, checked by their own tools, and docker-slot run."""

import re
import shutil

import pytest

from proc import run

from slipway.deploy.agent.roles import BUILT_IN, Process
from slipway.deploy.server.files import process_unit
from slipway.deploy.server.render import HOST, render

from .conftest import program

VALUES = {"APP": "shop", "NAME": "alerts", "COMMAND": "manage sendalerts", "READY": "file", "STOP": "60", "LIMIT": "90",
          "FILE": "shop-alerts.service", "UNIT": "shop-alerts", "SLOT": "alerts", "IN_SLOT": "", "MOUNT": "",
          "OPTIONS": "-e READY_FILE=/dev/shm/ready"}
SYSTEMD = sorted(path.relative_to(HOST).as_posix() for path in HOST.glob("systemd/*.*") if path.is_file())

OWN = {"alerts": Process("alerts", "manage alert 'a b' \"it's 5 % of $HOME\"", False, "file", ports=["2525:2525"]),
       "mail": Process("mail", "mail", True, "seconds 5")}


def install(folder, name):
    """The unit of one of the template's processes, or of these."""
    unit = process_unit("shop", (BUILT_IN | OWN)[name])
    (folder / unit.path.rpartition("/")[2]).write_text(unit.content)


def upstart_job(name):
    """The upstart job of a built-in process."""
    process = BUILT_IN[name]
    options = process.options.format("shop").replace("%i", "a")
    return render("upstart/APP-PROCESS.conf", {
        "APP": "shop", "NAME": name, "UNIT": f"shop-{name}-a" if process.overlap else f"shop-{name}",
        "COMMAND": process.command, "STOP": str(process.stop), "OPTIONS": options})


def test_systemd_takes_the_units(tmp_path):
    """systemd-analyze verify finds nothing to say about any shipped unit or drop-in, in a root of their own."""
    root = tmp_path / "root"
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in SYSTEMD:
        if "PROCESS" not in name:
            (units / name.removeprefix("systemd/").replace("APP", "shop")).write_text(render(name, VALUES))
    for name in (*BUILT_IN, "alerts", "mail"):
        install(units, name)
    for service in ("docker", "nginx"):  # as Debian's, as far as the drop-ins go
        (units / f"{service}.service").write_text("[Service]\nExecStart=/usr/bin/docker\n")
        shutil.copytree(HOST / f"systemd/{service}.service.d", units / f"{service}.service.d")
    for binary in ("usr/local/bin/docker-runner", "usr/local/bin/docker-slot", "usr/local/bin/consul-hosts",
                   "usr/bin/docker", "bin/sh", "sbin/start-stop-daemon"):
        (root / binary).parent.mkdir(parents=True, exist_ok=True)
        (root / binary).write_text("#!/bin/sh\n")
        (root / binary).chmod(0o755)
    for builtin in ("sysinit.target", "basic.target", "shutdown.target", "multi-user.target"):
        (units / builtin).write_text("[Unit]\nDescription=x\n")
    names = ["shop-web@a.service", "shop-worker@b.service", "shop-beat.service", "shop-alerts.service",
             "shop-mail@a.service", "shop-slot.service", "shop.target", "docker-runner.target",
             "docker-service@redis.service", "docker.service", "nginx.service", "nginx-first.service",
             "consul-hosts@shop.service"]
    done = run([program("systemd-analyze"), "verify", f"--root={root}", "--man=no", *names], cwd=units)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("name", ["systemd/docker-service@.service", "systemd/APP-PROCESS.service"])
def test_containers_units_share_their_rules(name):
    """Each unit with a container restarts for ever, stops it by name and cleans up after it, and only wants Docker,
    without any order: the engine's start would wait for the unit's stop."""
    text = render(name, VALUES)
    container = re.search(r"^ExecStart=.* --unit (\S+)", text, re.MULTILINE)[1]
    for line in ("Restart=always", "StartLimitIntervalSec=0", "Wants=docker.service docker-runner.target",
                 "After=docker-runner.target", "Before=nginx-first.service", "KillMode=mixed", "OOMPolicy=continue",
                 "CapabilityBoundingSet=CAP_KILL", "RuntimeDirectoryPreserve=yes", f"SyslogIdentifier={container}",
                 f"ExecStopPost=/usr/local/bin/docker-runner --stop {container} 10"):
        assert f"\n{line}\n" in text, line
    assert not re.search("^(After|Before|Requires|Requisite)=.*docker.service", text, re.MULTILINE)
    stop = re.search(rf"^ExecStop=.* --stop {re.escape(container)} (\d+)$", text, re.MULTILINE)[1]
    limit = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]
    # asking Docker 5 s, init 2 s to listen, 10 s to die when killed, 5 s to remove it
    assert int(stop) + 22 < int(limit), "systemd must not kill what is still being stopped"


def test_tmpfiles(tmp_path):
    """systemd-tmpfiles makes the folders and web.sock, and leaves a web.sock that is there, and files, as they are."""
    text = render("tmpfiles.d/APP.conf", VALUES)
    assert re.findall(r"^d +(\S+) (\d+) (\w+) (\S+)", text, re.MULTILINE) == [
        ("/run/shop", "0750", "root", "www-data"), *(
            (f"/run/shop/{slot}", "2710", "shop", "www-data") for slot in "ab")]
    # whoever runs the tests can make none but his own
    (tmp_path / "etc/tmpfiles.d").mkdir(parents=True)
    (tmp_path / "etc/tmpfiles.d/shop.conf").write_text(re.sub(r"(\d{4}) \w+ www-data", r"\1 - -", text))
    command = [program("systemd-tmpfiles"), "--create", f"--root={tmp_path}", "shop.conf"]
    assert run(command).returncode == 0
    link = tmp_path / "run/shop/web.sock"
    assert str(link.readlink()) == "a/web.sock" and (link.parent / "b").stat().st_mode & 0o7777 == 0o2710
    link.unlink()
    link.symlink_to("b/web.sock")
    (link.parent / "a/file").touch()
    assert run(command).returncode == 0
    assert str(link.readlink()) == "b/web.sock" and (link.parent / "a/file").exists()


@pytest.mark.parametrize("name", BUILT_IN)
def test_upstart_jobs(name):
    """Each stops and removes the container that it starts; it never gives up."""
    text = upstart_job(name)
    container = re.search(r"docker-runner --unit (\S+)", text)[1]
    assert text.count(f"--stop {container} ") == 2 and "\nrespawn\n" in text and "respawn limit unlimited" in text


def test_render_refuses_what_it_does_not_know():
    """A placeholder without a value is an error that names all of them; a rendered file has none left."""
    with pytest.raises(ValueError, match=r"slipway/deploy/server/nginx/app.conf needs a value for APP, APP_ID, BODY_"):
        render("nginx/app.conf", {})
    assert "@" not in render("systemd/APP.target", VALUES)
    assert "$my_shop_proto" in render("nginx/app.conf", {
        "APP": "my-shop", "REAL_IP": "", "BODY_LIMIT": "1m", "UPLOADS_MOST": "9", "UPLOAD_TAKEN": "1m"})


# Stand-ins: what systemctl is told comes out; a mount is a file beside the folder, which nobody but root could make.
PROGRAMS = {
    "systemctl": '[ "$1" != show ] || { cat "$ROOT/state-$5" 2>/dev/null || echo inactive; exit; }; echo "$@"',
    "id": "echo 4711",
    "docker-runner": 'echo "docker-runner $@"',
    "mountpoint": 'test -e "$2.mounted"',
    "umount": 'rm "$2.mounted"',
    "mount": """case $* in *,"$LACKING"*) exit 32 ;; esac; echo "$*" >"$6.mounted" """,
}


@pytest.fixture
def slot(tmp_path):
    """run docker-slot on a folder that stands for a server's /; the units it starts come back in .stdout"""
    root = tmp_path / "a server"
    for folder in ("etc/default", "etc/systemd/system", "var/www/shop", "run/shop/a", "run/shop/b", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "run/shop/web.sock").symlink_to("b/web.sock")
    for name, text in PROGRAMS.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / "bin" / name).chmod(0o755)
    (root / "var/www/shop/TAG").write_text("export TAG=build-42\n")
    (root / "etc/default/shop.env").write_text("A=1\n")
    for name in BUILT_IN:
        install(root / "etc/systemd/system", name)

    def docker_slot(*words, lacking="nothing"):
        return run([program("dash"), HOST / "docker-slot", *words], env={
            "PATH": f"{root}/bin:/usr/bin:/bin", "DOCKER_RUNNER_ROOT": str(root), "ROOT": str(root),
            "LACKING": lacking})
    docker_slot.root = root
    return docker_slot


@pytest.mark.parametrize("words, said", [(["shop"], "start --no-block shop-beat.service shop-web@b"),
                                         (["--empty", "shop", "a"], "")])
def test_systemd_that_is_replaced_is_asked_again(slot, words, said):
    """As an upgrade does, by daemon-reexec: the call of that moment fails."""
    systemctl = slot.root / "bin/systemctl"
    systemctl.write_text(f"#!/bin/sh\n[ -e \"$ROOT/$1\" ] || {{ >\"$ROOT/$1\"; exit 1; }}\n{PROGRAMS['systemctl']}\n")
    done = slot(*words)
    assert done.returncode == 0 and said in done.stdout, done.stderr
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    assert slot(*words).returncode


def test_the_live_slot_is_started(slot):
    """The units of the slot that web.sock names, and what runs alone, as far as they are installed; without waiting for
    them. A unit of the team's own, or of another app, is none of them."""
    units = slot.root / "etc/systemd/system"
    install(units, "mail")
    install(units, "alerts")
    (units / "shop-backup.service").write_text("[Service]\nExecStart=/usr/local/bin/docker-runner shop manage dump\n")
    (units / "shop-b-web@.service").write_text((units / "shop-web@.service").read_text())
    assert slot("shop").stdout == ("start --no-block shop-alerts.service shop-beat.service shop-mail@b.service"
                                   " shop-web@b.service shop-worker@b.service\n")
    assert (slot.root / "run/shop/alerts.tag").read_text() == "export TAG=build-42\n"
    for unit in units.iterdir():
        unit.unlink()
    assert slot("shop").stdout == ""


def test_what_a_slot_runs_is_written_down(slot):
    """Release and settings are kept for the slot, to be read by root alone; what is written already stays."""
    run_dir = slot.root / "run/shop"
    slot("shop")
    assert (run_dir / "b.tag").read_text() == (run_dir / "beat.tag").read_text() == "export TAG=build-42\n"
    assert (run_dir / "b.env").read_text() == "A=1\n" and (run_dir / "b.env").stat().st_mode & 0o777 == 0o600
    (slot.root / "var/www/shop/TAG").write_text("export TAG=build-43\n")
    (slot.root / "etc/default/shop.env").write_text("A=2\n")
    slot("shop")
    assert (run_dir / "b.tag").read_text() == "export TAG=build-42\n" and (run_dir / "b.env").read_text() == "A=1\n"
    assert not (run_dir / "a.tag").exists()


def mounted(slot, name):
    """The options with which the slot's folder was mounted."""
    file = slot.root / f"run/shop/{name}.mounted"
    return file.read_text().split()[3].split(",") if file.exists() else []


def test_a_slot_is_a_file_system_of_its_own(slot):
    """Small, for the app's user and nginx's group, and none of its links is followed: the live one's before its units
    start, another one's when it is emptied; whatever was in it is gone."""
    group = (slot.root / "run/shop").stat().st_gid
    wanted = {"size=4m", "nr_inodes=256", "mode=2710", "uid=4711", f"gid={group}", "nosuid", "nodev", "noexec",
              "nosymfollow"}
    (slot.root / "run/shop/b/web.sock").mkdir()
    assert slot("shop").returncode == 0
    assert {*mounted(slot, "b")} == wanted and not mounted(slot, "a")
    assert not list((slot.root / "run/shop/b").iterdir())
    (slot.root / "run/shop/a/web.sock").symlink_to("/run/blog/web.sock")
    for _ in range(2):
        done = slot("--empty", "shop", "a")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and {*mounted(slot, "a")} == wanted
        assert not list((slot.root / "run/shop/a").iterdir())


def test_a_slot_is_empty_when_it_is_emptied(slot):
    """A unit that was told to stop between its docker-runner's death and its restart has left its container: its note
    is there, so it is stopped now."""
    (slot.root / "run/docker-runner").mkdir()
    (slot.root / "run/docker-runner/shop-worker-a").touch()
    (slot.root / "run/docker-runner/shop-worker-b").touch()
    assert slot("--empty", "shop", "a").stdout == "docker-runner --stop shop-worker-a 10\n"


@pytest.mark.parametrize("role, state", [("web", "active"), ("worker", "activating"), ("mail", "deactivating")])
def test_a_slot_that_runs_keeps_its_folder(slot, role, state):
    """Nothing is mounted over what a unit, one that starts again too, has in its folder."""
    install(slot.root / "etc/systemd/system", "mail")
    (slot.root / f"state-shop-{role}@b.service").write_text(state)
    (slot.root / "run/shop/b/web.sock").touch()
    assert slot("shop").returncode == 0
    done = slot("--empty", "shop", "b")
    assert done.returncode == 75 and "slot b of shop runs" in done.stderr
    assert not mounted(slot, "b") and (slot.root / "run/shop/b/web.sock").exists()


def test_a_server_that_cannot_forbid_links(slot):
    """An old kernel or mount: the rest is done, and it is said; where no mount comes about, it fails."""
    done = slot("--empty", "shop", "a", lacking="nosymfollow")
    assert done.returncode == 0 and "nosymfollow" in done.stderr and done.stderr.count("\n") == 1
    assert "nosuid" in mounted(slot, "a") and "nosymfollow" not in mounted(slot, "a")
    assert slot("--empty", "shop", "a", lacking="nosuid").returncode == 32


@pytest.mark.parametrize("words, code, said", [
    (["shop", "a"], 64, "usage: docker-slot APP, or"), (["--empty", "shop", "../etc"], 64, "usage: "),
    (["blog"], 66, "systemd-tmpfiles --create blog.conf")])
def test_docker_slot_says_what_is_wrong(slot, words, code, said):
    done = slot(*words)
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1
