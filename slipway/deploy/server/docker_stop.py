#!/usr/bin/env python3
"""docker-stop NAME SECONDS: stops a unit's container, after SECONDS kills it, and removes it. For Python 3.4. Goes to
/usr/local/bin/docker-stop (0755); docker-runner --stop runs it. The engine may be away or hang, so the kernel is asked
for processes, by the container's id in /run/docker-runner/NAME.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.environ.get("DOCKER_RUNNER_ROOT", "")  # tests only: a folder that stands for /
STATE, PROC = ROOT + "/run/docker-runner/", ROOT + "/proc/"
# What systemd says where docker-runner was killed, and no stop asked for: its next start adopts the container.
KILLED = ("signal", "core-dump", "watchdog", "oom-kill")
CONFIG = ROOT + "/var/lib/docker/containers/%s/config.v2.json"  # Docker's own, there before the container starts


def read(path: str) -> str:
    """What a file holds; "" where it cannot be read."""
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def say(text: str) -> None:
    """A line of the log."""
    print("docker-runner: " + text, file=sys.stderr, flush=True)


def first_process(id: str) -> int:
    """The first process of a container; 0 where none runs. Others, as of an engine inside, are none of ours."""
    ours = re.compile(re.escape(id) + r"(\.scope)?(/init\.scope)?$", re.MULTILINE)
    for name in os.listdir(PROC) if len(id) == 64 else ():
        if name.isdigit() and ours.search(read(PROC + name + "/cgroup")):
            if re.search(r"^NSpid:.*[^0-9]1$", read(PROC + name + "/status"), re.MULTILINE):
                return int(name)
    return 0


def is_gone(pid: int, id: str, seconds: float) -> bool:
    """Whether that process ends within that time. Another one of its number is none of ours."""
    end = time.monotonic() + seconds
    while id in read("%s%d/cgroup" % (PROC, pid)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def docker(seconds: float, *words: str) -> str:
    """What docker says in that time; "" where it has not ended then."""
    try:
        process = subprocess.Popen(("docker",) + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   universal_newlines=True, start_new_session=True)
    except OSError:
        return ""
    with process:
        try:
            return process.communicate(timeout=seconds)[0].strip()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return ""


def number(name: str) -> int:
    """The number of a signal as images name it: "SIGINT", "INT", "3", "SIGRTMIN+3"; TERM's for another one."""
    found = re.match(r"(?:SIG)?([A-Z]+\d?)(?:\+(\d+))?$", name.upper())
    base = getattr(signal, "SIG" + found.group(1), None) if found else None
    return int(name) if name.isdigit() else base + int(found.group(2) or 0) if found and base else signal.SIGTERM


def wanted(id: str) -> str:
    """The signal that a container's image, or OPTS, want for a stop; "" for none in particular. The engine is asked
    where it keeps its files elsewhere."""
    try:
        with open(CONFIG % id) as file:
            return str(json.load(file)["Config"].get("StopSignal", ""))
    except (OSError, ValueError, KeyError):
        return docker(5, "inspect", "--format", "{{with .Config}}{{.StopSignal}}{{end}}", id)


def await_child(pid: int) -> None:
    """Wait 2 s at most until init has a child: a TERM before it listens is lost."""
    children = "%s%d/task/%d/children" % (PROC, pid, pid)
    end = time.monotonic() + 2
    while os.path.exists(children) and not read(children) and time.monotonic() < end:
        time.sleep(0.05)


def ended(name: str, seconds: float) -> int:
    """End a container's processes; its first one's number, 0 where there is none."""
    id = read(STATE + name) or docker(5, "inspect", "--format", "{{.ID}}", name)  # an older docker-runner wrote none
    pid = first_process(id)
    if not pid:
        return 0
    await_child(pid)
    try:
        os.kill(pid, number(wanted(id)))
        if not is_gone(pid, id, seconds):
            os.kill(pid, signal.SIGKILL)
    except OSError:  # it is gone; or a unit of an older version may not, and the engine does it
        return pid
    if not is_gone(pid, id, 10):
        say("process %d of %s cannot be killed" % (pid, name))
    return pid


def stop(name: str, seconds: int) -> None:
    """Stop a container. NAME.stop tells its unit, and the next one who asks, that this was asked for."""
    if os.environ.get("SERVICE_RESULT") in KILLED and not os.path.exists(STATE + name + ".stop"):
        return say(name + " is left to run")
    try:
        open(STATE + name + ".stop", "w").close()
    except OSError:  # a unit of an older version may not write there; nor has a full disk room
        pass
    pid = ended(name, seconds)
    said = docker(5, "rm", name)
    if said == name or "o such container" in said:
        if os.path.exists(STATE + name):
            os.unlink(STATE + name)
    elif "running container" in said or "is running: " in said or "paused" in said:  # the kernel does not show it
        docker(seconds + 10, "stop", "-t", str(seconds), name)
        docker(10, "rm", "-f", name)
    else:
        say("Docker does not answer: %s runs no more, but is there still" % name if pid else
            "Docker does not answer, and the kernel shows no %s: it may run still" % name)


if __name__ == "__main__":
    stop(sys.argv[1], int(sys.argv[2]))
