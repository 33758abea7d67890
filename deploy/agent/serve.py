"""The agent's side of the protocol: JSON lines from and to the deployer. And what systemd runs: takeback, retire.

In `read` mode it only reads. On `lock` it restarts itself as the unit APP-deploy, on the same stdin and stdout, and
reports in the end what became of that. In `work` mode it is the unit. Its main thread only listens: each line of the
deployer feeds the unit's watchdog, and at the end of input the agent ends at once. systemd then runs `takeback`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from . import disk, facts, images, journal, releases, settings, shell, slots, takeback
from .answers import Locked
from .attempt import Attempt
from .fate import decide
from .host import ENVIRONMENT, Host, Problem
from .shapes import Event, Message, Noted
from .steps.commit import unprepare
from .steps.switch import flip_back
from .steps.table import STEPS

MARK = "--8<-- slipway"
# What is no part of a deploy: before the lock and under it, and under it alone.
READ: dict[str, Callable[..., object]] = {"read_settings": settings.read_settings, "command": shell.command}
HANDS = {**READ, "put": shell.put, "stage": settings.stage, "keep": settings.keep}
TAKEN = re.compile(r"\.service (was already loaded|already exists)")  # systemd's words: another was faster
WAIT = 120  # seconds that a deploy waits for a retirement
out = threading.Lock()


def say(message: Mapping[str, object]) -> None:
    """A line to the deployer, who may not be there any more."""
    try:
        with out:
            os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        pass


def lines() -> Iterator[Message]:
    """What the deployer says, as objects; nothing is read ahead, as another process may go on with our input."""
    rest = b""
    while True:
        more = os.read(0, 65536)
        if not more:
            return
        *whole, rest = (rest + more).split(b"\n")
        for line in whole:
            yield json.loads(line)


def answer(message: Message, function: Callable[[], object]) -> None:
    """Run the function and say what it returned, or what went wrong."""
    try:
        say({"id": message["id"], "ok": function() or {}})
    except Problem as problem:
        say({"id": message["id"], "problem": str(problem), "more": problem.more})
    except OSError as error:
        say({"id": message["id"], "problem": "%s: %s" % (error.filename or "this host", error.strerror), "more": {}})
    except Exception as error:
        import traceback  # only here: it takes long to load
        say({"id": message["id"], "problem": "the agent failed: %r" % error,
             "more": {"log": traceback.format_exc().splitlines()[-20:]}})


# ---- before the lock ----

def read(app: str, program: str) -> None:
    """Answer what is asked, up to the lock and after it."""
    host = Host(app)
    readers: dict[str, Callable[..., object]] = {
        "facts": facts.collect, "resolve": images.resolve, "said": journal.said, "decide": decide, **READ}
    print(MARK, flush=True)
    for message in lines():
        if message.get("do") == "lock":
            answer(message, lambda: lock(host, program, **message["args"]))
            readers.update(dict.fromkeys(HANDS, shell.refuse))  # meant for the lock that has ended
        elif message.get("do", "alive") != "alive":  # that, or an abort, came when the lock had just ended
            answer(message, lambda: readers[message["do"]](host, **message["args"]))


def lock(host: Host, program: str, description: str, dead_after: float, bare: bool = False) -> Locked:
    """Work as the unit that is the lock, to its end; how it ended, and who holds the lock instead. `bare`: the host
    need not be provisioned yet."""
    folder = host.root + "/run" if bare else host.run
    deadline = time.monotonic() + WAIT
    taken, held = True, holder(host)
    while taken:  # a retirement is waited for, also one that takes the lock a moment before us
        while (held or "").startswith("retirement") and time.monotonic() < deadline:
            time.sleep(0.2)
            held = holder(host)
        if held:
            return {"locked": held}
        if not os.path.isdir(folder):
            raise Problem("there is no %s: run make provision first" % folder)
        code, said = as_unit(host, folder, program, description, dead_after, bare)
        held = holder(host)
        taken = bool(TAKEN.search(" ".join(said)) and (held or "").startswith("retirement"))
    held = held or ("by somebody who came a moment before" if TAKEN.search(" ".join(said)) else None)
    found: Locked = {"code": code, "said": said, "locked": held}
    if not bare:
        tag = releases.read_tag(host.tag)
        found.update({"attempt": bool(disk.read(host.attempt)), "live": slots.release_in(host, slots.live(host)),
                      "tag": tag and tag["tag"]})
    return found


def as_unit(host: Host, folder: str, program: str, description: str, dead_after: float,
            bare: bool) -> tuple[int, list[str]]:
    """Run the agent as the unit APP-deploy, on our input and output, to its end: its exit code, and what systemd-run
    said last."""
    path = store(folder, program)
    run = [slots.host_path("python3"), "-I", "-S", path]
    properties = {"WatchdogSec": dead_after, "WatchdogSignal": "SIGKILL", "KillSignal": "SIGKILL",
                  "TimeoutStopSec": 900, "ExecStopPost": " ".join([*run, "takeback", host.app]),
                  **({"KillMode": "process"} if bare else {})}  # apt and nginx are not cut off in the middle
    with open(os.open(folder, os.O_TMPFILE | os.O_RDWR), "w+b") as stderr:
        done = subprocess.run(
            ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec",
             "--unit=%s-deploy" % host.app, "--description=" + description,
             *(word for item in properties.items() for word in ("-p", "%s=%s" % item)), *run, "work", host.app, path],
            stderr=stderr, env=ENVIRONMENT)
        stderr.seek(0)
        return done.returncode, stderr.read().decode(errors="replace").strip().splitlines()[-5:]


def store(folder: str, program: str) -> str:
    """The agent as a file, for systemd; its path. Two may come at the same moment."""
    import hashlib  # only here: it takes long to load
    path = "%s/agent-%s.py" % (folder, hashlib.sha256(program.encode()).hexdigest()[:12])
    with disk.locked(folder):
        if disk.read(path) != program:
            disk.write(path, program)
    return path


def holder(host: Host) -> str | None:
    """What holds the lock, by its description; None where it is free."""
    state = host.states(host.app + "-deploy.service").get(host.app + "-deploy.service", {})
    return state.get("Description") if state.get("ActiveState") not in ("inactive", "failed", None) else None


# ---- as the lock ----

def work(app: str, path: str) -> None:
    """Do the steps that are asked for, until the end, an abort, or nobody asks any more."""
    host = Host(app)
    attempt = Attempt(host, program=path, pid=os.getpid())
    print(MARK, flush=True)
    for message in lines():
        notify("WATCHDOG=1")
        if "abort" in message:
            abort(attempt, message["abort"])
        elif message["do"] == "end":
            os._exit(0)
        elif message["do"] == "alive":
            say({"alive": True})
        elif message["do"] == "keep":  # short, and not to be cut off by the end of input
            step(host, attempt, message)
        else:
            threading.Thread(target=step, args=(host, attempt, message), daemon=True).start()
    while (releases.read_attempt(host) or {}).get("prepared"):
        time.sleep(0.2)  # the deployer may come back and decide; the watchdog waits dead_after for it
    os._exit(1)


def step(host: Host, attempt: Attempt, message: Message) -> None:
    """Do a step, and say what came of it."""
    def tell(event: Event) -> None:
        say(dict(event, id=message["id"]))
    do, args = message["do"], message["args"]
    if do in HANDS:
        answer(message, lambda: HANDS[do](host, **args))
    else:
        answer(message, lambda: STEPS[do](host, attempt, tell, **args))


def abort(attempt: Attempt, why: Noted) -> None:
    """End, so that systemd takes the host back; visitors go back before that. The lock stays taken: no step writes the
    attempt any more."""
    attempt.lock.acquire()
    if "live" in attempt.noted and releases.read_attempt(attempt.host):
        if attempt.noted.get("prepared"):
            unprepare(attempt.host)
        with contextlib.suppress(Problem, OSError):  # the takeback tells what keeps it
            flip_back(attempt.host, attempt.noted)
            attempt.noted.update({**why, "prepared": False})
            releases.save_attempt(attempt.host, attempt.noted)
    os._exit(1)


def notify(text: str) -> None:
    """Tell systemd."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)


def retire(host: Host, image: str, last: str, *which: str) -> None:
    """What the timer does some time after a commit. That old images stay for another time is no failure."""
    slots.retire(host, *which)
    try:
        images.prune(host, image, int(last), most=20) if image else []  # no next deploy waits long for it
    except (Problem, OSError) as problem:
        print("old images stay: %s" % problem, file=sys.stderr)


def main(words: list[str], program: str) -> None:
    """Work in the mode that the command line names."""
    mode, app, *rest = words
    if mode == "read":
        read(app, program)
    elif mode == "work":
        work(app, *rest)
    elif mode == "takeback":
        takeback.settle(Host(app), say)
        settings.drop_staging(Host(app))
    elif mode == "retire":
        retire(Host(app), *rest)
    else:
        sys.exit("unknown mode " + mode)
