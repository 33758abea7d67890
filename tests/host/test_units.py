"""Rendered files for systemd, upstart and sh, and runs of docker-slot. tests/e2e/test_provision.py verifies units with
systemd-analyze."""

import re

import pytest

from proc import executable, put, run
from slipway.deploy.agent.roles import BUILT_IN, Process
from slipway.deploy.server.files import process_unit
from slipway.deploy.server.render import HOST, render

from .conftest import program

VALUES = {
    "APP": "shop",
    "NAME": "alerts",
    "COMMAND": "manage sendalerts",
    "READY": "file",
    "STOP": "60",
    "LIMIT": "90",
    "FILE": "shop-alerts.service",
    "UNIT": "shop-alerts",
    "SLOT": "--slot alerts ",
    "IN_SLOT": "",
    "MOUNT": "",
    "OPTIONS": "-e READY_FILE=/dev/shm/ready",
    "CONTAINER": "",
}

OWN = {
    "alerts": Process("alerts", "manage alert 'a b' \"it's 5 % of $HOME\"", False, "file", ports=["2525:2525"]),
    "mail": Process("mail", "mail", True, "seconds 5"),
    "digest": Process("digest", "manage digest", False, "", schedule="daily"),
}


def install(folder, name):
    """Write the unit of a built-in process, or of one in OWN."""
    unit = process_unit("shop", (BUILT_IN | OWN)[name])
    (folder / unit.path.rpartition("/")[2]).write_text(unit.content)


def upstart_job(name):
    """Return the upstart job of a built-in process."""
    process = BUILT_IN[name]
    options = process.options.format("shop").replace("%i", "a")
    return render(
        "upstart/APP-PROCESS.conf",
        {
            "APP": "shop",
            "NAME": name,
            "UNIT": f"shop-{name}-a" if process.overlap else f"shop-{name}",
            "COMMAND": process.command,
            "STOP": str(process.stop),
            "OPTIONS": options,
        },
    )


@pytest.mark.parametrize("name", ["docker-service@.service", "APP-PROCESS.service"])
def test_containers_units_share_their_rules(name):
    """No unit with a container is ordered after Docker, or the engine's start would wait for the unit's stop. systemd
    does not kill that stop too early. tests/e2e/test_units.py tests the other common rules."""
    text = render(f"systemd/{name}", VALUES)
    container = re.search(r"^ExecStart=.* --unit (\S+)", text, re.MULTILINE)[1]
    assert not re.search("^(After|Before|Requires|Requisite)=.*docker.service", text, re.MULTILINE)
    stop = re.search(rf"^ExecStop=.* --stop {re.escape(container)} (\d+)$", text, re.MULTILINE)[1]
    limit = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]
    # 5 s to ask Docker, 2 s until init listens, 10 s to die after a kill, 5 s to remove the container
    assert int(stop) + 22 < int(limit), "systemd must not kill what is still being stopped"


def test_tmpfiles(tmp_path):
    """systemd-tmpfiles makes the folders and web.sock, and keeps an existing web.sock, and files, as they are."""
    text = render("tmpfiles.d/APP.conf", VALUES)
    assert re.findall(r"^d +(\S+) (\d+) (\w+) (\S+)", text, re.MULTILINE) == [
        ("/run/shop", "0750", "root", "www-data"),
        *((f"/run/shop/{slot}", "2710", "shop", "www-data") for slot in "ab"),
    ]
    # a user other than root can make only files of his own
    put(tmp_path / "etc/tmpfiles.d/shop.conf", re.sub(r"(\d{4}) \w+ www-data", r"\1 - -", text))
    command = [program("systemd-tmpfiles"), "--create", f"--root={tmp_path}", "shop.conf"]
    assert run(command).returncode == 0
    link = tmp_path / "run/shop/web.sock"
    assert str(link.readlink()) == "a/web.sock" and (link.parent / "b").stat().st_mode & 0o7777 == 0o2710
    link.unlink()
    link.symlink_to("b/web.sock")
    (link.parent / "a/file").touch()
    assert run(command).returncode == 0
    assert str(link.readlink()) == "b/web.sock" and (link.parent / "a/file").exists()


def test_render_refuses_what_it_does_not_know():
    """A placeholder without a value is an error; a rendered file has none left."""
    with pytest.raises(KeyError, match="APP"):
        render("nginx/app.conf", {})
    assert "@" not in render("systemd/APP.target", VALUES)
    assert "$my_shop_proto" in render(
        "nginx/common.conf", {"APP": "x", "SITE": "my-shop", "REAL_IP": "", "BODY_LIMIT": "20m"}
    )


# Stand-ins: systemctl prints its arguments; a mount is a file beside the folder, because only root can mount.
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
    """slot(*words): run docker-slot on a folder that stands for a server's /; .stdout lists the started units."""
    root = tmp_path / "a server"
    for folder in ("etc/default", "etc/systemd/system", "var/www/shop", "run/shop/a", "run/shop/b", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "run/shop/web.sock").symlink_to("b/web.sock")
    for name, text in PROGRAMS.items():
        executable(root / "bin" / name, f"#!/bin/sh\n{text}\n")
    (root / "var/www/shop/TAG").write_text("export TAG=build-42\n")
    (root / "etc/default/shop.env").write_text("A=1\n")
    for name in BUILT_IN:
        install(root / "etc/systemd/system", name)

    def docker_slot(*words, lacking="nothing"):
        return run(
            [program("dash"), HOST / "docker-slot", *words],
            env={
                "PATH": f"{root}/bin:/usr/bin:/bin",
                "DOCKER_RUNNER_ROOT": str(root),
                "ROOT": str(root),
                "LACKING": lacking,
            },
        )

    docker_slot.root = root
    return docker_slot


@pytest.mark.parametrize(
    "words, message", [(["shop"], "start --no-block shop-beat.service shop-web@b"), (["--empty", "shop", "a"], "")]
)
def test_systemd_that_is_replaced_is_asked_again(slot, words, message):
    """An upgrade replaces systemd by daemon-reexec, and a call at that moment fails; docker-slot repeats it."""
    systemctl = slot.root / "bin/systemctl"
    systemctl.write_text(f'#!/bin/sh\n[ -e "$ROOT/$1" ] || {{ >"$ROOT/$1"; exit 1; }}\n{PROGRAMS["systemctl"]}\n')
    done = slot(*words)
    assert done.returncode == 0 and message in done.stdout, done.stderr
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    assert slot(*words).returncode


def test_the_live_slot_is_started(slot):
    """docker-slot starts the installed units of the slot that web.sock names, and of processes without a slot, and does
    not wait for them. It starts no other unit of the team, and none of another app."""
    units = slot.root / "etc/systemd/system"
    install(units, "mail")
    install(units, "alerts")
    install(units, "digest")
    (units / "shop-backup.service").write_text("[Service]\nExecStart=/usr/local/bin/docker-runner shop manage dump\n")
    (units / "shop-b-web@.service").write_text((units / "shop-web@.service").read_text())
    assert slot("shop").stdout == (
        "start --no-block shop-alerts.service shop-beat.service shop-mail@b.service"
        " shop-web@b.service shop-worker@b.service\n"
    )
    assert (slot.root / "run/shop/alerts.tag").read_text() == "export TAG=build-42\n"
    for unit in units.iterdir():
        unit.unlink()
    assert slot("shop").stdout == ""


def test_what_a_slot_runs_is_written_down(slot):
    """Release and settings are written for the slot, readable only by root; an existing file is kept."""
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
    """Return the options with which the slot's folder was mounted."""
    file = slot.root / f"run/shop/{name}.mounted"
    return file.read_text().split()[3].split(",") if file.exists() else []


def test_a_slot_is_a_file_system_of_its_own(slot):
    """A slot's folder is a small mount for the app's user and nginx's group, and follows no links. The live slot is
    mounted before its units start, another one when it is emptied; earlier contents are gone."""
    group = (slot.root / "run/shop").stat().st_gid
    wanted = {
        "size=4m",
        "nr_inodes=256",
        "mode=2710",
        "uid=4711",
        f"gid={group}",
        "nosuid",
        "nodev",
        "noexec",
        "nosymfollow",
    }
    (slot.root / "run/shop/b/web.sock").mkdir()
    assert slot("shop").returncode == 0
    assert {*mounted(slot, "b")} == wanted and not mounted(slot, "a")
    assert not list((slot.root / "run/shop/b").iterdir())
    (slot.root / "run/shop/a/web.sock").symlink_to("/run/blog/web.sock")
    for _ in range(2):
        done = slot("--empty", "shop", "a")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "") and {*mounted(slot, "a")} == wanted
        assert not list((slot.root / "run/shop/a").iterdir())


def test_what_a_stop_has_left_keeps_its_folder(slot):
    """If a unit was stopped between its docker-runner's death and its restart, its container and the note still exist.
    A start empties no folder under the container; --empty stops the container first."""
    for name in "ab":
        put(slot.root / f"run/docker-runner/shop-worker-{name}")
    assert slot("shop").returncode == 0 and not mounted(slot, "b")
    assert slot("--empty", "shop", "a").stdout == "docker-runner --stop shop-worker-a 10\n" and mounted(slot, "a")


@pytest.mark.parametrize("role, state", [("web", "active"), ("worker", "activating"), ("mail", "deactivating")])
def test_a_slot_that_runs_keeps_its_folder(slot, role, state):
    """Nothing is mounted over the folder of a unit that runs, restarts or stops."""
    install(slot.root / "etc/systemd/system", "mail")
    (slot.root / f"state-shop-{role}@b.service").write_text(state)
    (slot.root / "run/shop/b/web.sock").touch()
    assert slot("shop").returncode == 0
    done = slot("--empty", "shop", "b")
    assert done.returncode == 75 and "slot b of shop still runs" in done.stderr
    assert not mounted(slot, "b") and (slot.root / "run/shop/b/web.sock").exists()


def test_a_server_that_cannot_forbid_links(slot):
    """If kernel or mount is too old for nosymfollow, the rest is done, with a warning; if no mount works, it fails."""
    done = slot("--empty", "shop", "a", lacking="nosymfollow")
    assert done.returncode == 0 and "nosymfollow" in done.stderr and done.stderr.count("\n") == 1
    assert "nosuid" in mounted(slot, "a") and "nosymfollow" not in mounted(slot, "a")
    assert slot("--empty", "shop", "a", lacking="nosuid").returncode == 32


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["shop", "a"], 64, "usage: docker-slot APP, or"),
        (["--empty", "shop", "../etc"], 64, "usage: "),
        (["blog"], 66, "systemd-tmpfiles --create blog.conf"),
    ],
)
def test_docker_slot_says_what_is_wrong(slot, words, code, message):
    done = slot(*words)
    assert done.returncode == code and message in done.stderr and done.stderr.count("\n") == 1
