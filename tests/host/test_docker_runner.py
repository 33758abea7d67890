"""docker-runner with a stand-in for docker that logs its calls: under dash and busybox sh, in a path with a space."""

import os
import re
import signal
import subprocess

import pytest

from proc import ROOT, executable, put, running, signal_group, wait_until

from .runner import HARDENED, ID, IMAGE_ID, RUNNER, SECRET, SMALL, UNIT, USER


def test_a_command_runs_in_the_live_release(server):
    """The container runs the committed image by id, hardened, with settings and options, and is then removed. The
    docker client takes the script's place, so that signals reach it."""
    with running(server.command("shop", "migrate"), env=server.env) as process:
        assert (process.wait(30), process.output()) == (0, "")
    assert int((server.stub / "pid").read_text()) == process.pid
    assert server.ran() == [
        "run",
        "--rm",
        "--log-driver=none",
        "-i",
        "--name",
        "shop-migrate",
        *HARDENED,
        *SMALL,
        "--env-file",
        f"{server.root}/etc/default/shop.env",
        "-v",
        "/srv/x:/x",
        IMAGE_ID,
        "migrate",
    ]


def test_static_files_go_to_the_bucket(server):
    """`collectstatic` goes to the bucket that STATIC names, if no folder is given."""
    server.put("etc/default/shop", "IMAGE=shop\nSTATIC=s3://files/shop\n")
    assert [server("shop", "collectstatic", *folder).returncode for folder in ([], ["/static"])] == [0, 0]
    assert [call[-1] for call in server.calls("run")] == ["s3://files/shop", "/static"]


def test_words_arrive_as_they_were_typed(server):
    """Spaces, quotes, dollars, stars, newlines and empty words reach the command unchanged. EXTRA is split as OPTS are,
    and comes last. The container's name has only characters that docker allows."""
    words = ["manage", "shell /x", "-c", "print('a b', \"$HOME\", `id`)\n*", "", "\\", "--name", "x;y"]
    server("shop", *words, EXTRA='-e "D=e f"')
    ran = server.ran()
    assert ran[-len(words) - 5 :] == ["-v", "/srv/x:/x", "-e", "D=e f", IMAGE_ID, *words]
    assert ran[ran.index("--name") + 1] == "shop-manage-shell__x"


def test_several_people_have_a_console_at_once(server):
    for words in ["shell"], ["manage", "shell"], ["manage", "dbshell"], ["bash", "-l"]:
        server("shop", *words), server("shop", *words)
    assert len({call[call.index("--name") + 1] for call in server.calls("run")}) == 8
    assert not [*(server.root / "run/docker-runner").glob("*.lock")]


@pytest.mark.parametrize("command", ["dbshell", "createsuperuser"])
def test_a_console_that_loses_its_terminal_ends(server, command):
    """Its container, too, which else would keep a session of the database and its locks, and maybe the name. What runs
    on a terminal is a console, whatever its name."""
    put(server.stub / "hold")
    slow = '#!/bin/sh\nsleep 0.5\necho $$ >"$STUB/session"\nexec /usr/bin/setsid "$@"\n'  # as on a busy machine
    executable(server.stub / "setsid", slow)
    terminal = os.openpty()
    more = {"stdin": terminal[1], "stdout": terminal[1]} if command == "createsuperuser" else {}
    with running(server.command("shop", "manage", command), env=server.env, **more) as process:
        wait_until(lambda: [1 for file in (server.root / "run/docker-runner").glob("*.id") if file.read_text()])
        signal_group(process, signal.SIGHUP)
        assert process.wait(10) == -signal.SIGHUP
        signal_group(process, signal.SIGTERM)  # as sudo does, and some seconds later:
        session = wait_until(lambda: int((server.stub / "session").read_text()), 30, "setsid is asked for")
        wait_until(lambda: os.getsid(session) == session, 30, "the session has begun")
        signal_group(process, signal.SIGKILL)
        wait_until(lambda: ["rm", "-f", ID] in server.calls("rm"))
    wait_until(lambda: not list((server.root / "run/docker-runner").glob("*.id")))
    [os.close(end) for end in terminal]


@pytest.mark.parametrize(
    "opts, data, tmp",
    [
        ("", True, True),
        ("-v '/srv/a b:/tmp:rw'", True, False),
        ("--tmpfs /tmp:size=1g", True, False),
        ("--mount 'type=tmpfs,dst=/tmp/,tmpfs-size=1g'", True, False),
        ("-v /tmp:/srv", True, True),
        ("-v /srv/tmp:/tmp/x", True, True),
        ("-v '/srv/x':'/data/'", False, True),
        ("-v /var/www/shop/media:/data/media", True, True),
        ("-e NOT=SQLite", False, True),
    ],
)
def test_folders_that_options_mount(server, opts, data, tmp):
    """Docker refuses two mounts at one path. So a mount in OPTS replaces our /tmp, and our /data, which one-offs and
    units get if the settings name an SQLite file there."""
    folder = server.root / f"var/www/{USER}/data"
    folder.mkdir()
    server.put(f"etc/default/{USER}", f'IMAGE=shop\nOPTS="{opts}"\n')
    url = "postgres://u:p@db/data" if "SQLite" in opts else "sqlite:////data/db.sqlite3"
    server.put(f"etc/default/{USER}.env", f"#DATABASE_URL=sqlite:////data/db.sqlite3\nDATABASE_URL={url}\n")
    assert server(USER, "migrate").returncode == 0 and server(*UNIT).returncode == 0
    for ran in server.calls("run"):
        assert (f"{folder}:/data" in ran, SMALL[1] in ran, "--read-only" in ran) == (data, tmp, True)


def test_a_service(server):
    """Its options name what docker-service knows of the image, and may check its health. Its command follows the image.
    The limits of a release are not for it."""
    text = """IMAGE=postgres:17\nOPTS='-v x:"$VOLUME" --health-cmd="is ready"'\nCOMMAND="-c 'a=b c'"\n"""
    server.put("etc/default/shop-postgres", text)
    server.put("etc/default/shop-postgres.image", f"IMAGE_ID={IMAGE_ID}\nVOLUME='/var/lib/a b'\n")
    assert server("--unit", "shop-postgres", "shop-postgres").returncode == 0
    ran = server.ran()
    assert ran[-6:] == ["-v", "x:/var/lib/a b", "--health-cmd=is ready", IMAGE_ID, "-c", "a=b c"]
    assert "--no-healthcheck" not in ran and "--read-only" not in ran and "--cap-drop=ALL" in ran


def test_the_addresses_of_services_win(server):
    """Docker takes a variable's last value: a rollback's older settings do not lead elsewhere."""
    addresses = server.put("etc/default/shop.services", "DATABASE_URL=postgres://x\n")
    server("shop", "migrate")
    ran = server.ran()
    files = [ran[at + 1] for at, word in enumerate(ran) if word == "--env-file"]
    assert files == [f"{server.root}/etc/default/shop.env", str(addresses)]


def test_make_up_has_the_same_limits():
    head = (ROOT / "compose.yaml").read_text().partition("\nservices:")[0]
    for option in ("init: true", "read_only: true", "cap_drop: [ALL]", "pids_limit: 1000", "mem_limit: "):
        assert f"\n  {option}" in head


def test_which_image(server):
    """TAG in the environment beats the file; without an id the image is IMAGE:TAG; an IMAGE with a tag needs no TAG. A
    release gets half of the server's memory, at least 512 MB, unless MEMORY is set; OPTS come after that."""

    def asked(*words, **env):
        assert server(*words, **env).returncode == 0
        return server.calls("image")[-1][-1]

    assert asked("shop") == IMAGE_ID
    assert asked("shop", TAG="build-41") == "registry.example:5000/team/shop:build-41"
    assert asked("shop", TAG="build-41", IMAGE_ID="sha256:41") == "sha256:41"
    server.put("var/www/shop/TAG", "export TAG=build-40\n")
    assert asked("shop", IMAGE_ID="sha256:stray") == "registry.example:5000/team/shop:build-40"
    server.put("etc/default/redis", "IMAGE=redis:7")
    assert asked("redis") == "redis:7" and not {*SMALL} & {*server.calls("run")[-1]}, "it gets the room it wants"
    server.put("proc/meminfo", "MemTotal: 900000 kB\n")
    assert asked("shop") and "--memory=524288k" in server.calls("run")[-1]
    server.put("etc/default/shop", "IMAGE=shop\nMEMORY=0\nOPTS=--memory=1g\n")
    assert asked("shop")
    assert [word for word in server.calls("run")[-1] if "--memory" in word] == ["--memory=0", "--memory=1g"]


def test_two_one_offs_of_a_name_at_once(server):
    """While the first one starts, the engine lists its container as "created", or not yet. The second is refused and
    removes nothing, also while the first one runs. A container that a power cut left is removed."""
    hold = server.put("stub/hold", "")
    with running(server.command("shop", "migrate"), env=server.env) as first:
        wait_until((server.stub / "pid").exists)
        for state in ("created  ", None):
            if state:
                server.put("stub/container", state)
            else:
                (server.stub / "container").unlink()
            done = server("shop", "migrate")
            assert done.returncode == 75 and "shop-migrate already runs" in done.stderr
        hold.unlink()
        assert first.wait(30) == 0
    assert not server.calls("rm") and len(server.calls("run")) == 1
    for state, code in (("running  ", 75), ("exited  ", 0)):
        server.put("stub/container", state)
        assert server("shop", "migrate").returncode == code
    assert not (server.stub / "container").exists()
    assert not [call for call in server.calls("rm") if "-f" in call], "that would kill one that has come up meanwhile"


def test_user_and_secrets(server):
    """If the app has a system user, the container runs as that user; secrets are mounted read-only."""
    server.put(f"etc/default/{USER}.secrets/KEY", SECRET)
    server.put(f"etc/default/{USER}", "IMAGE=shop\nuser=somebody\n")  # user= in this file has no effect
    server(USER, "migrate")
    ids = [subprocess.check_output(["id", flag, USER], text=True, timeout=10).strip() for flag in ("-u", "-g")]
    ran = server.ran()
    assert ran[ran.index("--user") + 1] == ":".join(ids)
    assert f"{server.root}/etc/default/{USER}.secrets:/run/secrets:ro" in ran


def test_no_secret_is_in_a_process_list(server):
    server("shop", "migrate")
    server("--unit", "shop-web-a", "shop", "run")
    assert len(server.calls("run")) == 2
    assert SECRET not in (server.stub / "log").read_text()


FAILURES = {
    "no app": ([], {}, 64, "docker-runner --help"),
    "a unit without a name": (["--unit"], {}, 64, "docker-runner --help"),
    "no default file": (["blog", "migrate"], {}, 66, "etc/default/blog: provision"),
    "no TAG": (["shop"], {"var/www/shop/TAG": None}, 66, "var/www/shop/TAG: deploy first; what a first deploy must"),
    "no slot folder": (["--slot", "b", "shop"], {}, 66, "systemd-tmpfiles --create shop.conf"),
    "no user": (["--slot", "a", "shop"], {}, 67, "useradd"),
    "no image": (["shop"], {"stub/image": None}, 72, "docker pull registry.example:5000/team/shop:build-42"),
    "no engine": (["shop"], {"stub/down": "99"}, 69, "Is the docker daemon running?"),
    "no folder for SQLite": (
        ["shop"],
        {"etc/default/shop.env": "DATABASE_URL=sqlite:////data/db"},
        66,
        "/var/www/shop/data for SQLite: provision",
    ),
    "IMAGE unset": (["shop"], {"etc/default/shop": "OPTS=x"}, 78, "IMAGE=''"),
    "an open quote": (["shop"], {"etc/default/shop": "IMAGE='shop\n"}, 78, "etc/default/shop"),
    "an unset variable in OPTS": (["shop"], {"etc/default/shop": "IMAGE=shop OPTS='-e $NOPE'\n"}, 78, "OPTS"),
    "TAG unset": (["shop"], {"var/www/shop/TAG": "export IMAGE_ID=x"}, 78, "TAG"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures(server, case):
    """Each failure has its exit code and one line that names the cure, without a setting's value; nothing is run."""
    words, files, code, said = FAILURES[case]
    for path, text in files.items():
        if text is None:
            (server.root / path).unlink()
        else:
            server.put(path, text)
    done = server(*words)
    assert done.returncode == code, done.stderr
    assert re.fullmatch(r"docker-runner: .+\n", done.stderr) and said in done.stderr, done.stderr
    assert SECRET not in done.stderr and not server.calls("run")


def test_help(server):
    """--help exits with 0; docs/server.md lists every exit code of the script."""
    done = server("--help")
    assert done.returncode == 0 and re.fullmatch(r"usage: docker-runner APP .*\nexit  [^\n]+\n", done.stdout, re.DOTALL)
    used = set(re.findall(r"\bdie (\d+) ", RUNNER.read_text()))
    assert used <= set(re.findall(r"^\| (\d\d) \|", (ROOT / "docs/server.md").read_text(), re.MULTILINE))
