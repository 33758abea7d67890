"""docker-runner with a stand-in for docker that logs its calls: under dash and busybox sh, in a path with a space."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from proc import ROOT, put, run, running, signal_group, wait_until
from slipway.deploy.server.render import HOST

IMAGE_ID = "sha256:" + "4" * 64
RUNNER = HOST / "docker-runner"
USER = "daemon"  # an app whose system user exists on every machine
HARDENED = ["--pull=never", "--init", "--no-healthcheck", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
SMALL = [
    "--read-only",
    "--tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec",
    "--pids-limit=1000",
    "--memory=2000000k",
]
SECRET = "planted-secret"
ID = "c" * 64  # the id of the stand-in's container


class Server:
    """A folder that stands for a server's /, with a deployed app and the stand-in for docker."""

    def __init__(self, root, shell):
        self.root, self.shell, self.stub = root, shell, root / "stub"
        self.stub.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "docker-stub", self.stub / "docker")
        shutil.copy(HOST / "docker_stop.py", self.stub / "docker-stop")
        (self.stub / "docker-stop").chmod(0o755)
        path = f"{self.stub}:{os.environ['PATH']}"
        self.env = {"PATH": path, "STUB": str(self.stub), "DOCKER_RUNNER_ROOT": str(root)}
        self.put("stub/image", IMAGE_ID)
        self.put("proc/meminfo", "MemTotal:        4000000 kB\nMemFree:          900000 kB\n")
        for app in ("shop", USER):
            self.put(f"etc/default/{app}", "IMAGE=registry.example:5000/team/shop\nOPTS='-v /srv/x:/x'\n")
            self.put(f"etc/default/{app}.env", f"# settings\nSECRET_KEY={SECRET}\nEMPTY=\nJSON={{\"a\": '1'}}\n\n")
            self.put(f"var/www/{app}/TAG", f"export TAG=build-42\nexport IMAGE_ID={IMAGE_ID}\n")
            (root / f"run/{app}/a").mkdir(parents=True)

    def put(self, path, text):
        return put(self.root / path, text)

    def command(self, *words):
        return [*self.shell, RUNNER, *words]

    def __call__(self, *words, **env):
        return run(self.command(*words), timeout=60, env={**self.env, **env})

    def calls(self, verb=None):
        """Return the calls of docker, each a list of words; with `verb`, only its calls."""
        log = self.stub / "log"
        calls = [call.split("\0")[:-1] for call in log.read_text().split("\1\0")[:-1]] if log.exists() else []
        return [call for call in calls if verb in (None, call[0])]

    def ran(self):
        (call,) = self.calls("run")
        return call


@pytest.fixture
def server(shell, tmp_path):
    return Server(tmp_path / "a server", shell)


def settings_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    terminal = os.openpty()
    more = {"stdin": terminal[1], "stdout": terminal[1]} if command == "createsuperuser" else {}
    with running(server.command("shop", "manage", command), env=server.env, **more) as process:
        wait_until(lambda: [1 for file in (server.root / "run/docker-runner").glob("*.id") if file.read_text()])
        signal_group(process, signal.SIGHUP)
        assert process.wait(10) == -signal.SIGHUP
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


UNIT = ("--unit", f"{USER}-web-a", "--slot", "a", USER, "run")
TICK = ("--unit", f"{USER}-tick", "--once", USER, "tick")


def wanted(server):
    return f"running {IMAGE_ID} {settings_hash(server.root / f'etc/default/{USER}.env')}"


def test_a_unit_starts_its_container(server):
    """The container is detached, has a fixed name and its slot's folder at the same path, and logs to the journal; the
    unit ends with it. docker is called only twice, as each call costs as much as the rest of the start."""
    server.put("stub/code", "3")
    done = server(*UNIT)
    assert done.returncode == 3, done.stderr
    ran = server.ran()
    assert ran[:5] == ["run", "-d", "--log-driver=journald", "--log-opt", "tag={{.Name}}"]
    assert ["--name", f"{USER}-web-a", *HARDENED, *SMALL] == ran[ran.index("--name") :][:11]
    assert f"{server.root}/run/{USER}/a:/run/{USER}/a" in ran and ran[-2:] == [IMAGE_ID, "run"]
    assert (server.stub / "container").read_text().strip() == wanted(server)
    assert ran[7:11:2] == ["--label"] * 2
    assert ran[5:7] == ["--cidfile", f"{server.root}/run/docker-runner/{USER}-web-a"]
    assert "--rm" not in ran and "-i" not in ran
    assert [call[:1] for call in server.calls("run")] + server.calls("wait") == [["run"], ["wait", f"{USER}-web-a"]]
    assert len(server.calls()) == 2


def test_a_start_finds_out_what_is_in_its_way(server, listener):
    """If the note of a container is lost, as after a power cut, docker refuses its name: the container is removed, or
    adopted. Any other failure is retried once, or not at all if docker has already made a container."""
    server.put("stub/container", wanted(server).replace("running", "exited"))
    assert server(*UNIT).returncode == 0
    assert [call[0] for call in server.calls() if call[0] in ("run", "rm")] == ["run", "rm", "run"]
    server.put("run/docker-runner/daemon-web-a", "")  # as docker leaves it if docker is killed
    assert server(*UNIT).stderr.startswith("docker-runner: adopted ") and len(server.calls("run")) == 2
    for words, tries in (("", 2), ("late", 1)):
        shutil.rmtree(server.root / "run/docker-runner")
        for name in ("container", "log"):
            (server.stub / name).unlink(missing_ok=True)
        server.put("stub/refused", words)
        assert server(*UNIT).returncode == 125 and len(server.calls("run")) == tries


def test_a_start_without_an_engine_forgets_no_container(server):
    """A container with a note may still run: the start first asks for it, and a stop meanwhile finds the note."""
    note = server.put("run/docker-runner/daemon-web-a", ID + "\n")
    server.put("stub/down", "9999")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until(lambda: "does not answer" in process.output())
        assert note.read_text() == ID + "\n" and not server.calls("run")


def test_notes_that_nobody_may_write(server):
    (server.root / "run/docker-runner").symlink_to("nowhere")
    for words in (UNIT, ("shop", "shell")):
        done = server(*words)
        assert done.returncode == 77 and "no permission to write" in done.stderr and not server.calls("run")


@pytest.fixture
def listener(server, monkeypatch):
    """A socket that listens at web.sock of USER's slot a, and whose queue is full."""
    monkeypatch.chdir(server.root / f"run/{USER}/a")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as visitor:
        listening.bind("web.sock")
        listening.listen(0)
        visitor.connect("web.sock")
        yield listening


def test_a_unit_adopts_what_runs_as_wanted(server, listener):
    """A running container with this image and these settings is kept, and the unit waits for its end."""
    server.put("stub/container", wanted(server))
    done = server(*UNIT)
    assert done.returncode == 0 and "adopted" in done.stderr
    assert not (server.stub / "started").exists() and not server.calls("rm") and not server.calls("stop")
    assert (server.root / f"run/docker-runner/{USER}-web-a").read_text() == ID + "\n"


def test_a_web_that_nobody_can_reach_is_replaced(server, listener):
    """If nobody listens at web.sock, or the slot's folder was emptied, web is replaced, unless it boots; a worker needs
    no socket."""
    listener.close()
    for unit, runs in ((UNIT, 2), (UNIT, 3), (("--unit", f"{USER}-worker-a", *UNIT[2:]), 4)):
        server.put("stub/container", wanted(server))
        assert server(*unit).returncode == 0 and len(server.calls("run")) == runs
        Path("web.sock").unlink(missing_ok=True)
    Path("web.plan").write_text("")
    server.put("stub/container", wanted(server))
    assert "adopted" in server(*UNIT).stderr and len(server.calls("run")) == 4


@pytest.mark.parametrize(
    "change",
    [("running", "exited"), ("running", "created"), ("running", "paused"), ("4444", "5555"), (r"\w{4}$", "0000")],
)
def test_a_unit_replaces_any_other(server, change):
    """A dead container of this name, or one with another image or other settings, is stopped and removed first."""
    server.put("stub/container", re.sub(*change, wanted(server)))
    server.put(f"run/docker-runner/{USER}-web-a", ID + "\n")
    assert server(*UNIT).returncode == 0
    calls = [call[0] for call in server.calls() if call[0] in ("stop", "rm", "run")]
    assert calls[-2:] == ["rm", "run"] and ("stop" in calls) == (change[1] in ("paused", "5555", "0000")), calls


@pytest.mark.parametrize(
    "state, note, killed, runs",
    [
        ("exited", ID, True, 0),
        ("running", ID, True, 0),
        ("exited", ID, False, 1),
        ("created", ID, True, 1),
        (None, "", True, 1),
    ],
)
def test_a_command_by_the_clock_runs_once(server, state, note, killed, runs):
    """After a kill of docker-runner it is adopted, also with other settings or if it has ended: then its exit code
    counts. A new run begins if the killed one had not begun."""
    if state:
        server.put("stub/container", f"{state} {IMAGE_ID} 0000")
    server.put(f"run/docker-runner/{USER}-tick", note)
    flag = server.put(f"run/docker-runner/{USER}-tick.killed", "") if killed else None
    server.put("stub/code", "3")
    assert server(*TICK).returncode == 3 and len(server.calls("run")) == runs
    assert not flag or not flag.exists()


@pytest.mark.parametrize("client, container", [(True, "running  "), (False, "running  "), (True, "")])
def test_a_unit_waits_for_a_one_off_of_its_name(server, client, container):
    """It stops no command that an operator runs, also if that has lost its docker client or has no container yet, and
    starts after its end."""
    hold, hung = server.put("stub/hold", ""), server.put("stub/hung-wait", "")
    with running(server.command(USER, "tick"), env=server.env) as one_off:
        wait_until((server.stub / "pid").exists)
        if container:
            server.put("stub/container", container)
        if not client:
            one_off.kill()
            one_off.wait(30)  # then nobody has its lock
        with running(server.command(*TICK), env=server.env) as unit:
            wait_until(lambda: "tick already runs by hand: waiting" in unit.output())
            assert unit.poll() is None and not {"stop", "rm"} & {call[0] for call in server.calls()}
            for path in (server.stub / "container", hold, hung):
                path.unlink(missing_ok=True)
            assert unit.wait(30) == 0 and (server.stub / "started").exists()


def test_a_slots_own_release_and_settings_come_first(server):
    """A unit uses SLOT.tag and SLOT.env if they exist, and otherwise the committed release and settings, as a one-off
    does. Beat has a tag and no folder."""
    settings = server.put(f"run/{USER}/a.env", "A=2\n")
    for slot in ("a", "beat"):
        server.put(f"run/{USER}/{slot}.tag", f"export TAG=build-43\nexport IMAGE_ID=sha256:{slot}\n")
        assert server("--unit", f"{USER}-{slot}", "--slot", slot, USER, "run").returncode == 0
        ran = server.calls("run")[-1]
        assert ran[-2] == f"sha256:{slot}" and (str(settings) in ran) == (slot == "a") == (f"/run/{USER}/" in str(ran))
        if slot == "a":
            assert settings_hash(settings) in (server.stub / "container").read_text()
        (server.stub / "container").unlink()
    server(USER, "migrate")
    assert server.calls("image")[-1][-1] == IMAGE_ID and str(settings) not in server.calls("run")[-1]


@pytest.mark.parametrize("calls", range(1, 6))
def test_a_unit_waits_for_the_engine(server, calls):
    """A unit waits for an engine that does not answer, at any call of its start, and reports this once."""
    server.put("stub/down", str(calls))
    done = server(*UNIT)
    assert done.returncode == 0 and len(server.calls("run")) == 2 and (server.stub / "started").exists()
    assert done.stderr.count("does not answer") == (calls > 2)


def test_a_stop_in_the_middle_of_a_start(server):
    """If TERM comes while docker starts the container, the start is finished first: then it has a name."""
    hold = server.put("stub/hold", "")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until((server.stub / "starting").exists)
        os.kill(process.pid, signal.SIGTERM)
        assert process.poll() is None
        hold.unlink()
        assert process.wait(30) == 143
    assert (server.stub / "started").exists() and not server.calls("wait")


@pytest.mark.parametrize("by", ["a signal", "a stop"])
def test_a_unit_of_a_hung_engine_can_be_stopped(server, listener, by):
    """If docker hangs while the unit waits for its container's end, TERM ends docker-runner at once. If a stop removes
    the container just after the engine is back, the unit does not fail."""
    server.put("stub/container", wanted(server))
    server.put("stub/fail-wait", "")
    hung = server.put("stub/hung-wait", "")
    with running(server.command(*UNIT), env=server.env) as process:
        wait_until(lambda: server.calls("wait"))
        if by == "a stop":
            server("--stop", "daemon-web-a")
            hung.unlink()
        else:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143 and "but not by its unit" not in process.output()
    hung.unlink(missing_ok=True)
