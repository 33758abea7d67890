"""deploy/classic.sh with a stand-in for ssh: the order of its steps, and its takeback if a step fails."""

import os
import re
import signal

import pytest

from slipway.deploy.agent import releases
from slipway.deploy.screen import text_tables as tables
from proc import ROOT, executable, run, running, wait_until

SCRIPT = ROOT / "deploy/classic.sh"
WEB = {"HOSTS": "app1 app2"}
ALL = {**WEB, "CELERY_HOSTS": "app3", "BEAT_HOSTS": "app3"}
# Logs address, step and roles of a call; checks that the script arrives complete; fails or hangs by $FAIL and $HANG.
STUB = """#!/bin/sh
host=$1
step=$(printf %s "$2" | sed -n 's/.* on_host \\([a-z]*\\) .*/\\1/p')
roles=$(printf %s "$2" | sed -n '1s/.* 7 \\([a-z ]*\\)".*/\\1/p')
echo "$host $step $roles" >>"$CALLS"
printf '%s\n' "$2" | sed -n '1s/.*RUN=[^ ]*,\\([^ ]*\\) .*/\\1/p' >>"$CALLS.seconds"
cmp -s - "$SCRIPT" || { echo "the script did not arrive" >&2; exit 99; }
case " $FAIL " in *" $host:$step "*) exit 1 ;; esac
case " $HANG " in *" $host:$step "*) sleep 300 & echo $! >"$CALLS.hangs"; wait ;; esac
"""


@pytest.fixture
def classic(shell, tmp_path):
    """classic(env, …): the command line and the environment that run classic.sh in a shell."""
    stub = tmp_path / "stub"
    executable(stub, STUB)

    def prepare(env, fail="", hang="", **more):
        names = ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS", "INIT")
        clean = {name: value for name, value in os.environ.items() if name not in names}
        return [*shell, SCRIPT], {
            **clean, "CALLS": str(tmp_path / "calls"), "SCRIPT": str(SCRIPT), "FAIL": fail, "HANG": hang,
            "SSH": str(stub), "APP": "shop", "IMAGE": "registry.example/shop", "TAG": "build-2", "READY": "7",
            **env, **more}
    return prepare


def calls(tmp_path):
    path = tmp_path / "calls"
    return [line.strip() for line in path.read_text().splitlines()] if path.exists() else []


def steps(tmp_path):
    """Return (host, step) of each call."""
    return [tuple(line.split()[:2]) for line in calls(tmp_path)]


def play(classic, env, **more):
    command, environment = classic(env, **more)
    return run(command, env=environment, timeout=60)


def test_the_order(classic, tmp_path):
    """All hosts are checked and pull before anything changes; migrations run once; then hosts restart one by one."""
    done = play(classic, ALL)
    assert done.returncode == 0 and "build-2 is live on app1 app2 app3" in done.stderr, done.stderr
    everywhere = ["app1", "app2", "app3"]
    assert steps(tmp_path) == [
        *((host, "check") for host in everywhere), *((host, "pull") for host in everywhere),
        *((host, "write") for host in everywhere), ("app1", "publish"), ("app2", "publish"), ("app1", "migrate"),
        *((host, step) for host in everywhere for step in ("restart", "probe")),
        *((host, "tidy") for host in everywhere)]
    assert {line for line in calls(tmp_path) if "probe" in line} == {
        "app1 probe web", "app2 probe web", "app3 probe worker beat"}


def test_the_clock_steps_back(classic, tmp_path):
    executable(tmp_path / "date", f"#!/bin/sh\n[ ! -e {tmp_path}/calls ] || {{ echo 7; exit; }}; echo 9\n")
    assert play(classic, WEB, PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    assert {*(tmp_path / "calls.seconds").read_text().split()} == {"0"}


@pytest.mark.parametrize("step", ["check", "pull"])
def test_refused_before_the_first_change(classic, tmp_path, step):
    done = play(classic, ALL, fail=f"app2:{step}")
    assert done.returncode == 2 and f"app2: {step} failed, nothing was changed" in done.stderr
    assert {step for _, step in steps(tmp_path)} <= {"check", "pull"}


TAKEN_BACK = {  # host:step that fails → hosts that get their files back, hosts that restart again
    "app2:write": (["app1", "app2"], []),
    "app2:publish": (["app1", "app2", "app3"], []),
    "app1:migrate": (["app1", "app2", "app3"], []),
    "app1:restart": (["app1", "app2", "app3"], ["app1"]),
    "app3:probe": (["app1", "app2", "app3"], ["app1", "app2", "app3"]),
}


@pytest.mark.parametrize("fault", TAKEN_BACK)
def test_the_first_failure_takes_back(classic, tmp_path, fault):
    """Only changed hosts get their files back; restarted ones restart again; exit code 3 if that fails."""
    done = play(classic, ALL, fail=fault)
    back, again = TAKEN_BACK[fault]
    played = steps(tmp_path)
    after = played[played.index(("app1", "back")):]
    stays_broken = fault.endswith(("restart", "probe"))
    wanted = [(host, step) for host in again for step in ("restart", "probe") if f"{host}:restart" != fault
              or step == "restart"]
    assert after == [*((host, "back") for host in back), *wanted], after
    assert done.returncode == (3 if stays_broken else 1), done.stderr
    assert ("check them: " + fault[:4] if stays_broken else "the old release serves") in done.stderr


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
    assert steps(tmp_path)[-6:] == [("app1", "back"), ("app2", "back"), ("app1", "restart"), ("app1", "probe"),
                                    ("app2", "restart"), ("app2", "probe")]


@pytest.mark.parametrize("wrong", [
    {"HOSTS": ""}, {"TAG": ""}, {"APP": ""}, {"IMAGE": ""}, {"TAG": "$(reboot)"}, {"HOSTS": "app1 -oProxyCommand=x"},
    {"HOSTS": "app1;reboot"}, {"READY": "soon"}, {"INIT": "runit"}], ids=str)
def test_wrong_usage(classic, tmp_path, wrong):
    done = play(classic, {**WEB, **wrong})
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert next(iter(wrong)) in done.stderr and calls(tmp_path) == []


WWW = "var/www/shop"
DOCKER = """#!/bin/sh
case $* in
    *RepoDigests*) printf '%s\\n' other.example/shop@sha256:e registry.example/shop@sha256:d ;;
    *Id*) echo sha256:1 ;;
esac
"""


def on_host(shell, folder, step, *roles, docker=DOCKER, **env):
    """Run a host's part of a step on this machine, with the folder as /."""
    executable(folder / "docker", docker)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "RUN": "0123abcd,ann@laptop,4000000000,5", **env,
           "CLASSIC_ROOT": str(folder)}
    return run([*shell, SCRIPT, "on_host", step, "shop", "registry.example/shop", "v2", "detect", "7", *roles], env=env)


def test_what_became_of_a_release_is_written_down(shell, tmp_path):
    www, log = tmp_path / WWW, tmp_path / f"{WWW}/releases.log"
    www.mkdir(parents=True)
    for before, step, roles in ((True, "tidy", ["web", "beat"]), (False, "tidy", ["worker"]), (True, "back", ["web"])):
        for name in ("TAG.before", "TAG", "REVERT") if before else ():
            (www / name).write_text("")
        done = on_host(shell, tmp_path, step, *roles)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        log.write_text(log.read_text() + ("" if before else '{"torn'))
    records, torn = releases.parse_log(log.read_text())
    assert torn == 1
    assert [(found["action"], found["outcome"], found["roles"]) for found in records] == [
        ("deploy", "committed", ["web", "beat"]), ("restart", "committed", ["worker"]),
        ("deploy", "taken back", ["web"])]
    wanted = {"id": "0123abcd", "tag": "v2", "image_id": "sha256:1", "digest": "sha256:d", "version": 1}
    assert {key: records[0][key] for key in wanted} == wanted
    assert (records[0]["began"], records[0]["seconds"]) == (4e9, 5), "no other machine's clock counts"
    *_, first = tables.history({"web1": {"records": records[:1]}, "web2": {"records": records[:1]}})
    assert (*first[1:4], *first[5:]) == ("deploy", "v2", "committed", "ann from laptop", "web1, web2")


# A stand-in for docker: `docker cp` of the static files' manifest fails with the text in $SAID, if there is one.
STATIC = """#!/bin/sh
case $1 in
    image) echo /app ;;
    create) echo one ;;
    cp) echo "$2" >>"$CALLS"; [ -z "$SAID" ] || { echo "$SAID" >&2; exit 1; } ;;
    rm) echo "rm $2" >>"$CALLS" ;;
esac
"""


@pytest.mark.parametrize("said, code, published", [
    ("", 0, True), ("Error response from daemon: Could not find the file /app/x in container one", 0, False),
    ("Error: No such container:path: one:/app/x", 0, False), ("no space left on device", 1, False)])
def test_an_image_without_static_files_publishes_none(shell, tmp_path, said, code, published):
    (tmp_path / f"{WWW}/static").mkdir(parents=True)
    executable(tmp_path / "docker-runner", '#!/bin/sh\necho "$2" >>"$CALLS"\n')
    executable(tmp_path / "install", "#!/bin/sh\nmkdir static.new\n")
    done = on_host(shell, tmp_path, "publish", docker=STATIC, SAID=said, CALLS=str(tmp_path / "calls"))
    assert done.returncode == code and (said if code else "") in done.stderr, done.stderr
    assert calls(tmp_path) == ["one:/app/static-root/staticfiles.json", "rm one", *["collectstatic"] * published]


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
@pytest.mark.parametrize("step, wanted", [("write", ["REVERT", "TAG"]), ("tidy", ["releases.log"])])
def test_what_is_written_outlives_a_power_cut(shell, tmp_path, step, wanted):
    (tmp_path / WWW).mkdir(parents=True)
    (tmp_path / f"{WWW}/TAG").write_text("export TAG=v1\n")
    trace = ["strace", "-f", "-qq", "-e", "trace=openat,fsync,/^rename", "-o", tmp_path / "calls"]
    done = on_host([*trace, *shell], tmp_path, step, "web")
    assert done.returncode == 0, done.stderr
    found = [entry for entry in synced((tmp_path / "calls").read_text()) if "before" not in entry[1]]
    assert found == [entry for name in wanted for entry in (("fsync", f"{name}.new"), ("rename", name), ("fsync", "."))]
