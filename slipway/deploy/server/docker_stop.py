#!/usr/bin/env python3
"""docker-stop NAME SECONDS [UNIT UNIT_SECONDS]: stop a unit's container, kill it after SECONDS, remove it. Goes to
/usr/local/bin/docker-stop (0755); docker-runner --stop runs it. Needs only Python 3.4. Docker may hang. So docker-stop
reads the container's id from /run/docker-runner/NAME, and finds the processes in /proc.

docker-stop --killed: docker-killed.service runs this when a docker-runner was killed (see `left_alone`)."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.environ.get("DOCKER_RUNNER_ROOT", "")  # tests only: a folder used as /
STATE, PROC = ROOT + "/run/docker-runner/", ROOT + "/proc/"
# If systemd's SERVICE_RESULT is one of these, docker-runner was killed without a stop request: the container runs on.
KILLED = ("signal", "core-dump", "watchdog", "oom-kill")
BY_HAND = "by hand"
CONFIG = ROOT + "/var/lib/docker/containers/{}/config.v2.json"  # Docker writes it before the container starts


def read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def say(text: str) -> None:
    print("docker-runner: " + text, file=sys.stderr, flush=True)


def first_process(id: str) -> int:
    """Return the PID of a container's first process; 0 if it has none. Ignore containers inside the container."""
    ours = re.compile(re.escape(id) + r"(\.scope)?(/init\.scope)?$", re.MULTILINE)
    for name in os.listdir(PROC) if len(id) == 64 else ():
        if not name.isdigit() or not ours.search(read(PROC + name + "/cgroup")):
            continue
        if re.search(r"^NSpid:.*[^0-9]1$", read(PROC + name + "/status"), re.MULTILINE):
            return int(name)
    return 0


def is_gone(pid: int, id: str, seconds: float) -> bool:
    """Return True if the process ends within `seconds`. Check the container's `id` too, as a PID may be reused."""
    end = time.monotonic() + seconds
    while id in read(f"{PROC}{pid}/cgroup"):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def docker(seconds: float, *words: str) -> str:
    """Return docker's output, also of a failure; "" after `seconds`, or without docker."""
    try:
        return subprocess.check_output(
            ("docker", *words), stderr=subprocess.STDOUT, universal_newlines=True, timeout=seconds
        ).strip()
    except subprocess.CalledProcessError as error:
        return str(error.output).strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def number(name: str) -> int:
    """Return the number of a signal such as "SIGINT", "INT", "3" or "SIGRTMIN+3"; SIGTERM for anything else."""
    match = re.match(r"(?:SIG)?([A-Z]+\d?)(?:\+(\d+))?$", name.upper())
    base = getattr(signal, "SIG" + match.group(1), None) if match else None
    return int(name) if name.isdigit() else base + int(match.group(2) or 0) if match and base else signal.SIGTERM


def stop_signal(id: str) -> str:
    """Return the container's stop signal, "" if unknown. If Docker's file CONFIG cannot be read, ask Docker."""
    try:
        with open(CONFIG.format(id)) as file:
            return str(json.load(file)["Config"].get("StopSignal", ""))
    except (OSError, ValueError, KeyError):
        return docker(5, "inspect", "--format", "{{with .Config}}{{.StopSignal}}{{end}}", id)


def await_child(pid: int) -> None:
    """Wait up to 2 s until the container's init has a child. Init loses an earlier TERM."""
    children = f"{PROC}{pid}/task/{pid}/children"
    end = time.monotonic() + 2
    while os.path.exists(children) and not read(children) and time.monotonic() < end:
        time.sleep(0.05)


def container_of(name: str) -> str:
    """Return the id of a unit's container. If there is no note, ask Docker: return BY_HAND if a one-off or
    somebody's has the name, and anything that is no id if there is no container."""
    return read(STATE + name) or docker(
        5,
        "inspect",
        "--format",
        '{{if index .Config.Labels "docker-runner.image"}}{{.ID}}{{else}}' + BY_HAND + "{{end}}",
        name,
    )


def ended(id: str, name: str, seconds: float) -> int:
    """End a container's processes; kill them after `seconds`. Return the first process's PID; 0 if there is none."""
    pid = first_process(id)
    if not pid:
        return 0
    await_child(pid)
    try:
        os.kill(pid, number(stop_signal(id)))
        if not is_gone(pid, id, seconds):
            os.kill(pid, signal.SIGKILL)
    except OSError:  # the process is gone; or an older unit lacks CAP_KILL: then Docker stops it
        return pid
    if not is_gone(pid, id, 10):
        say(f"process {pid} of {name} cannot be killed")
    return pid


def free(name: str) -> None:
    """Remove what Docker keeps of a container that died while the engine was down: "endpoint with name NAME already
    exists in network bridge" would end each start for good (moby 20.10, live-restore)."""
    for network in docker(5, "network", "ls", "--format", "{{.Name}}").split():
        docker(5, "network", "disconnect", "--force", network, name)


def stop(name: str, seconds: int, unit: str = "", unit_seconds: str = "") -> None:
    """Stop a container, unless docker-runner was killed and no stop was requested. NAME.stop records a request."""
    if os.environ.get("SERVICE_RESULT") in KILLED and not os.path.exists(STATE + name + ".stop"):
        leave(name, unit, unit_seconds)
        say(name + " keeps running: docker-runner was killed, but no stop was requested")
        return
    with contextlib.suppress(OSError):  # an older unit may not write there, or the disk is full
        open(STATE + name + ".stop", "w").close()
    id = container_of(name)
    if id == BY_HAND:
        return
    pid = ended(id, name, seconds)
    container = id if len(id) == 64 else name  # by its id: the name may have another one meanwhile
    output = docker(5, "rm", container)
    if output == container or "o such container" in output or "already in progress" in output:
        if read(STATE + name) in (id, "") and os.path.exists(STATE + name):
            os.unlink(STATE + name)
        if os.environ.get("EXIT_STATUS") == "125":  # the start failed
            free(name)
    elif any(words in output for words in ("running container", "is running: ", "paused")):
        # `ended` did not find its process.
        docker(seconds + 10, "stop", "-t", str(seconds), container)
        docker(10, "rm", "-f", container)
    elif output and "Cannot connect" not in output:
        last = output.rpartition("\n")[2]  # not splitlines(), which ends a line at U+2028, too
        say(f"{name} is not removed: {last}")
    else:
        say(
            f"Docker does not answer: {name} has stopped, but is not removed"
            if pid
            else f"Docker does not answer, and no process of {name} is found in /proc: it may still run"
        )


# ---- after a kill of docker-runner ----


def leave(name: str, unit: str, unit_seconds: str) -> None:
    """Write NAME.killed for the next docker-runner and docker-killed.service. An older unit does not name itself."""
    if unit:
        path = STATE + name + ".killed"
        try:
            with open(path + ".new", "w") as file:
                file.write(unit + " " + unit_seconds)
            os.rename(path + ".new", path)
        except OSError as error:
            say(f"{path}: {error.strerror}")


def left_alone() -> None:
    """Until each NAME.killed is gone, as its next docker-runner has adopted the container: stop a container whose unit
    was stopped before its restart. systemd runs no command of the unit for such a stop."""
    stops = []
    while True:
        names = [name[: -len(".killed")] for name in os.listdir(STATE) if name.endswith(".killed")]
        for name in names:
            unit, seconds = (read(STATE + name + ".killed") or " ").split(" ")
            if unit and is_stopped(unit):
                stops.append(subprocess.Popen((sys.argv[0], name, seconds)))
                os.unlink(STATE + name + ".killed")
        if not names:
            break
        time.sleep(0.2)
    for process in stops:
        process.wait()


def is_stopped(unit: str) -> bool:
    """Return True if the unit neither runs nor will: between stop and start, a restart has a job."""
    try:
        shown = subprocess.check_output(("systemctl", "show", "-p", "ActiveState,Job", unit), universal_newlines=True)
    except subprocess.CalledProcessError:  # systemd is restarting
        return False
    return bool(re.search("^ActiveState=(inactive|failed)$", shown, re.M)) and not re.search("^Job=[1-9]", shown, re.M)


if __name__ == "__main__":
    if sys.argv[1] == "--killed":
        left_alone()
    else:
        stop(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
