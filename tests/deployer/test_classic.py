"""classic.sh with a stand-in for ssh: the order of its steps, and its takeback if a step fails."""

import os
import re
import signal

import pytest

from proc import ROOT, executable, put, run, running, wait_until

SCRIPT = ROOT / "slipway/deploy/classic.sh"
WEB = {"HOSTS": "app1 app2"}
ALL = {**WEB, "CELERY_HOSTS": "app3", "BEAT_HOSTS": "app3"}
# Logs address, step and roles of a call; checks that the script arrives complete; fails or hangs by $FAIL and $HANG.
STUB = """#!/bin/sh
host=$1
step=${2##* }
roles=$(printf %s "$2" | sed -n "s/.* ROLES='\\(.*\\)'.*/\\1/p")
echo "$host $step" $roles >>"$CALLS"
cmp -s - "$SCRIPT" || { echo "the script did not arrive" >&2; exit 99; }
case " $FAIL " in *" $host:$step "*) exit 1 ;; esac
case " $HANG " in *" $host:$step "*) sleep 300 & echo $! >"$CALLS.hangs"; wait ;; esac
"""


@pytest.fixture
def classic(shell, tmp_path):
    """classic(env, …): the command line and the environment that run classic.sh in a shell."""
    stub = tmp_path / "stub"
    executable(stub, STUB)

    def prepare(env, fail="", hang="", **extra):
        names = ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS")
        clean = {name: value for name, value in os.environ.items() if name not in names}
        return [*shell, SCRIPT], {
            **clean,
            "CALLS": str(tmp_path / "calls"),
            "SCRIPT": str(SCRIPT),
            "FAIL": fail,
            "HANG": hang,
            "SSH": str(stub),
            "APP": "shop",
            "IMAGE": "registry.example/shop",
            "TAG": "build-2",
            "READY": "7",
            **env,
            **extra,
        }

    return prepare


def calls(tmp_path):
    path = tmp_path / "calls"
    return [line.strip() for line in path.read_text().splitlines()] if path.exists() else []


def steps(tmp_path):
    """Return (host, step) of each call."""
    return [tuple(line.split()[:2]) for line in calls(tmp_path)]


def play(classic, env, **extra):
    command, environment = classic(env, **extra)
    return run(command, env=environment, timeout=60)


def test_the_order(classic, tmp_path):
    """All hosts pull before anything changes; migrations run once; then hosts restart one by one."""
    done = play(classic, ALL)
    assert done.returncode == 0 and "build-2 is live" in done.stderr, done.stderr
    everywhere = ["app1", "app2", "app3"]
    assert steps(tmp_path) == [
        *((host, "pull") for host in everywhere),
        ("app1", "publish"),
        ("app2", "publish"),
        ("app1", "migrate"),
        *((host, "restart") for host in everywhere),
    ]
    assert {line for line in calls(tmp_path) if "restart" in line} == {
        "app1 restart web",
        "app2 restart web",
        "app3 restart worker beat",
    }


TAKEN_BACK = {  # host:step that fails → hosts that go back, exit code
    "app2:pull": ([], 2),
    "app2:publish": ([], 1),
    "app1:migrate": ([], 1),
    "app1:restart": (["app1"], 1),
    "app3:restart": (["app1", "app2", "app3"], 1),
    "app3:restart app2:back": (["app1", "app2", "app3"], 3),
}


@pytest.mark.parametrize("fault", TAKEN_BACK)
def test_the_first_failure_takes_back(classic, tmp_path, fault):
    """Only hosts that were restarted go back; the exit code is 3 if one cannot."""
    done = play(classic, ALL, fail=fault)
    back, code = TAKEN_BACK[fault]
    host, _, step = fault.split()[0].partition(":")
    played = steps(tmp_path)
    after = played[played.index((host, step)) + 1 :]
    assert [call for call in after if call[1] != "pull"] == [(host, "back") for host in back]
    assert done.returncode == code, done.stderr
    assert {1: "the old release serves", 2: "nothing was changed", 3: "check them: app2"}[code] in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_cancelled(classic, tmp_path, number):
    command, env = classic(WEB, hang="app2:restart")
    hangs = tmp_path / "calls.hangs"
    with running(command, env=env) as process:
        wait_until(lambda: hangs.exists() and hangs.read_text().strip())
        process.send_signal(number)
        (tmp_path / "stub").write_text(STUB.replace("HANG", "NONE"))
        os.kill(int(hangs.read_text()), signal.SIGKILL)  # the ssh that runs now ends, too
        assert process.wait(60) == 1, process.output()
    assert steps(tmp_path)[-3:] == [("app2", "restart"), ("app1", "back"), ("app2", "back")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"HOSTS": ""},
        {"TAG": ""},
        {"APP": ""},
        {"IMAGE": ""},
        {"TAG": "$(reboot)"},
        {"HOSTS": "app1 -oProxyCommand=x"},
        {"HOSTS": "app1;reboot"},
        {"READY": "soon"},
    ],
    ids=str,
)
def test_wrong_usage(classic, tmp_path, wrong):
    done = play(classic, {**WEB, **wrong})
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert next(iter(wrong)) in done.stderr and calls(tmp_path) == []


WWW = "var/www/shop"
DOCKER = """#!/bin/sh
case $1 in
    image) echo sha256:1 ;;
    run) exit $CODE ;;
esac
"""


def on_host(shell, folder, step, **env):
    """Run a step on this machine, with the folder as /."""
    (folder / WWW / "static").mkdir(parents=True, exist_ok=True)
    for name in ("systemctl", "chown", "curl"):
        executable(folder / name, "#!/bin/sh\n")
    executable(folder / "docker", DOCKER)
    executable(folder / "docker-runner", '#!/bin/sh\necho "$TAG $2" >>"$CALLS"\n')
    env = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "APP": "shop",
        "IMAGE": "registry.example/shop",
        "TAG": "v2",
        "CALLS": str(folder / "calls"),
        "CLASSIC_ROOT": str(folder),
        **env,
    }
    return run([*shell, SCRIPT, step], env=env)


@pytest.mark.parametrize("code, published", [("0", True), ("1", False), ("127", False), ("125", False)])
def test_an_image_without_static_files_publishes_none(shell, tmp_path, code, published):
    """`test` answers 1 without a manifest, docker 127 without `test`. Otherwise it has failed."""
    done = on_host(shell, tmp_path, "publish", CODE=code)
    assert done.returncode == (code == "125"), done.stderr
    assert calls(tmp_path) == (["v2 collectstatic"] if published else [])


def synced(trace):
    """Return the files that were synced or renamed, in their order: (call, name)."""
    paths, found = {}, []
    for call, words in re.findall(r"(openat|fsync|rename\w*)\((.*= \d+)$", trace, re.MULTILINE):
        names = [os.path.basename(name) for name in re.findall(r'"([^"]+)"', words)]
        if call == "openat":
            paths[words.rpartition("= ")[2].strip()] = names[0]
        else:
            found.append((call[:6], names[-1] if names else paths[words.partition(")")[0]]))
    return found


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    "step, expected",
    [
        ("pull", [("fsync", "TAG.before")]),
        ("restart", [("fsync", "TAG.new"), ("rename", "TAG"), ("fsync", ".")]),
        ("back", [("rename", "TAG"), ("fsync", ".")]),
    ],
)
def test_what_is_written_outlives_a_power_cut(shell, tmp_path, step, expected):
    for name in ("TAG", "TAG.before"):
        put(tmp_path / WWW / name, "export TAG=v1\n")
    trace = ["strace", "-f", "-qq", "-e", "trace=openat,fsync,/^rename", "-o", tmp_path / "calls"]
    done = on_host([*trace, *shell], tmp_path, step, ROLES="")
    assert done.returncode == 0, done.stderr
    assert synced((tmp_path / "calls").read_text()) == expected
