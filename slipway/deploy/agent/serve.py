"""The agent's side of the protocol: JSON lines from and to the deployer. And what systemd runs: takeback, retire.

In `read` mode it only reads, and may begin to pull. On `lock` it restarts itself as the unit APP-deploy on the same
stdin and stdout: `work` mode. There each line feeds the unit's watchdog, and at the end of input the agent ends at
once; systemd then runs `takeback`.
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
from functools import partial

from . import disk, facts, images, releases, shell, slots, staging, takeback
from .answers import Locked
from .attempt import Attempt
from .fate import decide
from .host import ENVIRONMENT, Host, Problem, lock_holder
from .shapes import Event, Message, Noted
from .steps.commit import withdraw_promise
from .steps.switch import flip_back
from .steps.table import STEPS

MARK = "--8<-- slipway"
# Messages that are no steps of a deploy: those that need no lock, and all that are answered under it.
UNLOCKED: dict[str, Callable[..., object]] = {"read_settings": staging.read_settings, "command": shell.command}
LOCKED = {**UNLOCKED, "put": shell.put, "stage": staging.stage, "keep": staging.finish_staging}
TAKEN = re.compile(r"\.service (was already loaded|already exists)")  # systemd's words: the unit's name is in use
WAIT = 120  # seconds that a deploy waits for a retirement
output = threading.Lock()  # a line at a time


def say(message: Mapping[str, object]) -> None:
    """Write a line to the deployer, who may be gone."""
    try:
        with output:
            os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        pass


def lines() -> Iterator[Message]:
    """The deployer's messages. No more is read than there is, as another process may go on with this input."""
    rest = b""
    while True:
        more = os.read(0, 65536)
        if not more:
            return
        *whole, rest = (rest + more).split(b"\n")
        yield from map(json.loads, whole)


def answer(message: Message, function: Callable[[], object]) -> None:
    """Run the function, and say what it returned or what went wrong."""
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


def beside(function: Callable[..., object], *args: object) -> None:
    """Run the function in a thread, which ends with this agent."""
    threading.Thread(target=function, args=args, daemon=True).start()


# ---- before the lock ----

def read(app: str, program: bytes, file: str) -> None:
    """Answer what is asked, up to the lock and after it. `program`, `file`: this agent's text, and where it is kept."""
    readers: dict[str, Callable[..., object]] = {
        "facts": facts.collect, "said": facts.last_lines, "decide": decide, **UNLOCKED}
    print(MARK, flush=True)
    for message in lines():
        host = Host(app)  # anew: somebody may have provisioned since
        if message.get("do") == "lock":
            answer(message, lambda: lock(host, program, os.path.basename(file), **message["args"]))
            readers.update(dict.fromkeys(LOCKED, shell.refuse))  # they were meant for that lock
        elif message.get("do") == "resolve":  # it waits for the registry: meanwhile facts are found
            beside(answer, message, partial(images.resolve, host, **message["args"]))
        elif message.get("do", "alive") != "alive":  # alive or an abort: the lock had just ended
            answer(message, lambda: readers.get(message["do"], shell.refuse)(host, **message["args"]))


def lock(host: Host, program: bytes, name: str, description: str, dead_after: float, bare: bool = False) -> Locked:
    """Work as the unit that is the lock, to its end; how it ended, and who holds the lock instead. The unit is killed
    when it hears nothing for `dead_after` seconds. `bare`: the host need not be provisioned yet."""
    folder, deadline = host.root + "/run" if bare else host.run, time.monotonic() + WAIT
    path = "%s/%s" % (folder, name)
    while True:
        if held := await_retirement(host, deadline):
            return {"locked": held}
        if not os.path.isdir(folder):
            raise Problem("there is no %s: run make provision first" % folder)
        disk.store_agent(path, program)
        code, errors = run_as_unit(host, path, description, dead_after, bare)
        held, taken = holder(host), TAKEN.search(" ".join(errors))
        if not (taken and is_retirement(held)):  # which came a moment before us
            break
    held = held or ("by somebody who came a moment before" if taken else None)
    found: Locked = {"code": code, "said": errors, "locked": held}
    if not bare:
        tag = releases.read_tag(host.tag)
        found.update({"attempt": bool(disk.read(host.attempt)), "live": slots.release_in(host, slots.live(host)),
                      "tag": tag and tag["tag"]})
    return found


def await_retirement(host: Host, deadline: float) -> str | None:
    """Wait for the end of a retirement; who holds the lock then, or at the deadline."""
    held = holder(host)
    while is_retirement(held) and time.monotonic() < deadline:
        time.sleep(0.2)
        held = holder(host)
    return held


def is_retirement(held: str | None) -> bool:
    """Whether the lock is held by a retirement."""
    return (held or "").startswith("retirement")


def run_as_unit(host: Host, path: str, description: str, dead_after: float, bare: bool) -> tuple[int, list[str]]:
    """Run the agent, a file, as the unit APP-deploy on this stdin and stdout: (exit code, last lines of stderr)."""
    run = [slots.host_path("python3"), "-I", "-S", path]
    properties = {"WatchdogSec": dead_after, "WatchdogSignal": "SIGKILL", "KillSignal": "SIGKILL",
                  "TimeoutStopSec": 900, "ExecStopPost": " ".join([*run, "takeback", host.app]),
                  **({"KillMode": "process"} if bare else {})}  # apt and nginx are not cut off in the middle
    with open(os.open(os.path.dirname(path), os.O_TMPFILE | os.O_RDWR), "w+b") as stderr:
        done = subprocess.run(
            ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec",
             "--unit=%s-deploy" % host.app, "--description=" + description,
             *(word for item in properties.items() for word in ("-p", "%s=%s" % item)), *run, "work", host.app, path],
            stderr=stderr, env=ENVIRONMENT)
        stderr.seek(0)
        return done.returncode, stderr.read().decode(errors="replace").strip().splitlines()[-5:]


def holder(host: Host) -> str | None:
    """Who holds the lock; None where it is free."""
    return lock_holder(host.states(host.lock)[host.lock])


# ---- as the lock ----

def work(app: str, path: str) -> None:
    """Do the steps that are asked for, until the end, an abort, or the end of input."""
    host = Host(app)
    attempt = Attempt(host, program=path, pid=os.getpid())
    print(MARK, flush=True)
    for message in lines():
        feed_watchdog()
        if "abort" in message:
            abort(attempt, message["abort"])
        elif message["do"] == "end":
            os._exit(0)
        elif message["do"] == "alive":
            say({"alive": True})
        elif message["do"] == "keep":  # short, and not to be cut off by the end of input
            step(host, attempt, message)
        else:
            beside(step, host, attempt, message)
    with contextlib.suppress(Problem):  # the takeback tells it
        while (releases.read_attempt(host) or {}).get("promised"):
            time.sleep(0.2)  # the deployer may come back and decide; the watchdog waits dead_after for it
    os._exit(1)


def step(host: Host, attempt: Attempt, message: Message) -> None:
    """Do what a message asks for, and answer it."""
    def say_event(event: Event) -> None:
        say(dict(event, id=message["id"]))
    do, args = message["do"], message["args"]
    if do in LOCKED:
        answer(message, lambda: LOCKED[do](host, **args))
    else:
        answer(message, lambda: STEPS[do](host, attempt, say_event, **args))


def abort(attempt: Attempt, why: Noted) -> None:
    """Take the visitors back, and end, so that systemd takes the host back."""
    attempt.lock.acquire()  # and keep it: no step writes the attempt any more
    with contextlib.suppress(Problem, OSError):  # the takeback reports it
        if "live" in attempt.noted and releases.read_attempt(attempt.host):
            if attempt.noted.get("promised"):
                withdraw_promise(attempt.host)
            flip_back(attempt.host, attempt.noted)
            attempt.noted.update({**why, "promised": False})
            releases.save_attempt(attempt.host, attempt.noted)
    os._exit(1)


def feed_watchdog() -> None:
    """Tell systemd that this unit is alive."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"WATCHDOG=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def retire(host: Host, file: str, image: str, last: str, slot: str, tag: str, image_id: str,
           drained: str = str(slots.DRAIN)) -> None:
    """Stop an old slot and remove old images, secrets and agents, as the timer asks some time after a commit. `file`:
    this agent; nobody needs another, as this one has the lock."""
    disk.drop_other_agents(file)
    slots.retire(host, slot, tag, image_id, float(drained))
    try:
        staging.drop_secrets(host)
        images.prune(host, image, int(last), most=20) if image else []  # few: the next deploy waits
    except (Problem, OSError) as problem:
        print("not all that is old goes: %s" % problem, file=sys.stderr)


def main(words: list[str], program: bytes, file: str) -> None:
    """Work in the mode that the command line names. `program`, `file`: this agent's text, in `read` mode, and path."""
    mode, app, *rest = words
    if mode == "read":
        read(app, program, file)
    elif mode == "work":
        work(app, *rest)
    elif mode == "takeback":
        takeback.settle(Host(app), say)
        staging.drop_staging(Host(app))
    elif mode == "retire":
        retire(Host(app), file, *rest)
    else:
        sys.exit("unknown mode " + mode)
