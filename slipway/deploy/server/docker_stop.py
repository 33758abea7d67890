#!/usr/bin/env python3
"""docker-stop NAME SECONDS: stops a unit's container, after SECONDS kills it, and removes it. For Python 3.4.
Goes to /usr/local/bin/docker-stop (0755); docker-runner --stop runs it.

Processes are asked for, and signalled, by the kernel: the engine may be away, or hang. docker-runner has written into
/run/docker-runner: NAME, the container's id; NAME.signal, how it is stopped.
"""

import os
import re
import signal
import subprocess
import sys
import time

if False:  # for mypy alone: Python 3.4 has no typing
    from collections.abc import Callable

ROOT = os.environ.get("DOCKER_RUNNER_ROOT", "")  # tests only: a folder that stands for /
STATE, PROC = ROOT + "/run/docker-runner/", ROOT + "/proc/"
# What systemd says where docker-runner was killed, and no stop asked for: its next start adopts the container.
KILLED = ("signal", "core-dump", "watchdog", "oom-kill")
# .ID, as docker's types call it: asked for .Id it reads JSON instead, where an empty signal is missing.
ID_AND_SIGNAL = "{{.ID}} {{with .Config}}{{.StopSignal}}{{end}}"


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


def runs(pid: int, id: str) -> bool:
    """Whether that process has not ended; another one of that number is none of ours."""
    return id in read("%s%d/cgroup" % (PROC, pid))


def is_gone(pid: int, id: str, seconds: float) -> bool:
    """Whether that process ends within that time."""
    end = time.monotonic() + seconds
    while runs(pid, id):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def docker(seconds: float, *words: str, going: "Callable[[], bool]" = lambda: True) -> str:
    """What docker says in that time, and as long as `going()`; "" where it has not ended then."""
    try:
        process = subprocess.Popen(("docker",) + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   universal_newlines=True, start_new_session=True)
    except OSError:
        return ""
    end = time.monotonic() + seconds
    with process:
        while process.poll() is None and time.monotonic() < end and going():
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            return ""
        return process.communicate()[0].strip()


def number(name: str) -> int:
    """The number of a signal as images name it: "SIGINT", "INT", "3", "SIGRTMIN+3"; TERM's for another one."""
    found = re.match(r"(?:SIG)?([A-Z]+\d?)(?:\+(\d+))?$", name.upper())
    base = getattr(signal, "SIG" + found.group(1), None) if found else None
    return int(name) if name.isdigit() else base + int(found.group(2) or 0) if found and base else signal.SIGTERM


def await_child(pid: int) -> None:
    """Wait until init has a child, 2 s at most: a TERM before it listens is lost, and the stop would take all its
    time."""
    children = "%s%d/task/%d/children" % (PROC, pid, pid)
    end = time.monotonic() + 2
    while os.path.exists(children) and not read(children) and time.monotonic() < end:
        time.sleep(0.05)


def ended(name: str, seconds: float) -> int:
    """End a container's processes; its first one's number, 0 where there is none."""
    id = read(STATE + name)  # an older docker-runner has written none
    pid, sent = first_process(id), read(STATE + name + ".signal")
    if not os.path.exists(STATE + name + ".signal") and (pid or not id):  # it began just now
        # While docker starts or ends it, it may take long to tell.
        said = docker(5, "inspect", "--format", ID_AND_SIGNAL, name, going=lambda: not pid or runs(pid, id))
        found, _, sent = said.partition(" ")
        id, pid = (id, pid) if pid else (found, first_process(found))
    if not pid:
        return 0
    await_child(pid)
    try:
        os.kill(pid, number(sent))
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
        for path in (STATE + name, STATE + name + ".signal"):
            if os.path.exists(path):
                os.unlink(path)
    elif "running container" in said or "is running: " in said or "paused" in said:  # the kernel does not show it
        docker(seconds + 10, "stop", "-t", str(seconds), name)
        docker(10, "rm", "-f", name)
    else:
        say("Docker does not answer: %s runs no more, but is there still" % name if pid else
            "Docker does not answer, and the kernel shows no %s: it may run still" % name)


if __name__ == "__main__":
    stop(sys.argv[1], int(sys.argv[2]))
