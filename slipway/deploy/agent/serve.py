"""The agent's protocol with the deployer: lines of JSON.

The agent starts in the mode `read`. On the message `lock` it starts a second agent in the mode `work`: the systemd unit
APP-deploy, with the same stdin and stdout. If messages stop or stdin ends, the unit ends.
When the unit ends, systemd starts the mode `takeback`. A timer starts the mode `retire`, which stops the old slot."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from . import (
    backups,
    celery,
    certificates,
    disk,
    errors,
    facts,
    image_files,
    images,
    limits,
    pulse,
    releases,
    requests,
    retirement,
    services,
    shell,
    staging,
    step_log,
    takeback,
    traffic,
)
from .attempt import Attempt
from .attempt_state import decide
from .host import Host, Problem, lines_of
from .lock import lock
from .message_types import Event, Message, Noted
from .steps.commit import withdraw_promise
from .steps.switch import flip_back
from .steps.table import STEPS

MARK = "--8<-- slipway"
# Requests that are no steps of a deploy. READERS: from a deployer without the lock; LOCKED: from one with the lock.
UNLOCKED: dict[str, Callable[..., object]] = {"read_settings": staging.read_settings, "command": shell.command}
READERS = {
    **UNLOCKED,
    "facts": facts.collect,
    "last_lines": facts.last_lines,
    "decide": decide,
    "resolve": images.resolve,
    "has_image": images.has_image,
    "errors": errors.find,
    "certificates": certificates.expiries,
    "services": services.collect,
    "pulse": pulse.take,
    "traffic": traffic.older,
    "celery": celery.collect,
    "backups": backups.collect,
    "backups_listed": backups.listed,
    "restored": backups.restored,
    "point": backups.point,
}
LOCKED = {
    **UNLOCKED,
    "put": shell.put,
    "stage": staging.stage,
    "keep": staging.finish_staging,
    "inherit": staging.inherit,
}
output = threading.Lock()  # held while a thread writes a line to stdout


def say(message: Mapping[str, object]) -> None:
    """Send a message to the deployer, if it is still connected."""
    with contextlib.suppress(OSError), output:
        os.write(1, json.dumps(message).encode() + b"\n")


def lines(kind: str = "") -> Iterator[Message]:
    """Yield the deployer's messages. Read without a buffer, because after `lock` another process reads this stdin. Exit
    at what is no message, or too long for this kind of key (see requests.py)."""
    rest = b""
    while True:
        piece = os.read(0, 65536)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > requests.LINES[kind]:
            sys.exit("a message is too long")
        yield from map(requests.parse_message, whole)


def answer(message: Message, function: Callable[[], object]) -> None:
    try:
        say({"id": message["id"], "ok": function() or {}})
    except Problem as problem:
        say({"id": message["id"], "problem": str(problem), "details": problem.details})
    except OSError as error:
        say({"id": message["id"], "problem": f"{error.filename or 'this host'}: {error.strerror}", "details": {}})
    except Exception as error:
        import traceback  # only when needed: it loads slowly

        say(
            {
                "id": message["id"],
                "problem": f"the agent failed: {error!r}",
                "details": {"log": lines_of(traceback.format_exc())[-20:]},
            }
        )


# ---- before the lock ----


def read(app: str, folder: str, kind: str = "", key: str = "") -> None:
    """Answer messages that do not need the host's lock. `folder`: the agent's own; `kind`, `key`: see limits.py."""
    readers: dict[str, Callable[..., object]] = {**READERS, "lock": partial(lock, folder=folder, kind=kind, key=key)}
    print(MARK, flush=True)
    for message in lines(kind):
        host = Host(app)  # a new object for each message: provisioning may change the host
        if message.get("do", "alive") != "alive":  # ignore a late "alive" or a late abort, which has no "do"
            answer(message, partial(do_if_allowed, host, kind, message, readers, key))
        if message.get("do") == "lock":
            readers.update(dict.fromkeys(LOCKED, shell.raise_lock_lost))  # the deployer's lock has ended: refuse LOCKED


def do_if_allowed(
    host: Host, kind: str, message: Message, functions: Mapping[str, Callable[..., object]], key: str = ""
) -> object:
    """Do what a message asks, if this kind of key may ask it."""
    do = message.get("do", "")
    args = message.get("args", {})
    limits.check(host, kind, key, do, args)
    return functions.get(do, shell.raise_lock_lost)(host, **args)


# ---- with the lock ----


def work(app: str, folder: str, kind: str = "", key: str = "") -> None:
    """Run the deployer's steps until the deployer sends `end` or `abort`, or disconnects. `kind`, `key`: limits.py."""
    host = Host(app)
    disk.remove(host.lock_broken)
    attempt = Attempt(host, program=folder, pid=os.getpid(), key=key)
    steps = step_log.StepLog(host)
    threads = limits.Threads()
    print(MARK, flush=True)
    for message in lines(kind):
        feed_watchdog()
        do = message.get("do")
        if "abort" in message:
            abort(attempt, requests.abort_cause(message["abort"]))
        elif do == "end":
            os._exit(0)
        elif do == "alive":
            say({"alive": True})
        elif do == "keep":  # in this thread: this process must not exit before `keep` is done
            step(host, attempt, steps, message, kind)
        elif not threads.start(partial(step, host, attempt, steps, message, kind)):
            answer(message, limits.raise_busy)
    with contextlib.suppress(Problem):  # systemd runs `takeback` next, which reports the Problem
        while (releases.read_attempt(host) or {}).get("promised"):
            time.sleep(0.2)  # wait until the deployer reconnects and decides, or the watchdog kills this unit
    leave()


def step(host: Host, attempt: Attempt, steps: step_log.StepLog, message: Message, kind: str = "") -> None:
    """Do a step, or another request that needs the lock."""

    def say_event(event: Event) -> None:
        say(dict(event, id=message["id"]))

    def run(name: str, host: Host, **args: object) -> object:
        if missing := requests.missing_step(host, name, steps.done()):
            raise Problem(f"{name}: the step {missing} has not succeeded")
        return steps.run(name, partial(STEPS[name], host, attempt, say_event, **args))

    last_lines = {"last_lines": facts.last_lines}  # the deployer asks for a log before it takes back
    in_steps = {name: partial(run, name) for name in STEPS}
    functions: dict[str, Callable[..., object]] = {**in_steps, **LOCKED, **last_lines}
    answer(message, partial(do_if_allowed, host, kind, message, functions, attempt.noted.get("key", "")))


def abort(attempt: Attempt, why: Noted) -> None:
    """Flip visitors back, save `why` in the attempt's file, and exit. Then systemd runs the agent's mode `takeback`."""
    attempt.lock.acquire()  # never released: no step may write the attempt's file any more
    with contextlib.suppress(Problem, OSError):  # systemd runs `takeback` next, which reports the error
        if "live" in attempt.noted and releases.read_attempt(attempt.host):
            if attempt.noted.get("promised"):
                withdraw_promise(attempt.host)
            flip_back(attempt.host, attempt.noted)
            attempt.noted.update({**why, "promised": False})
            releases.save_attempt(attempt.host, attempt.noted)
    leave()


def leave() -> None:
    """End this process. Then systemd runs the agent's mode `takeback`."""
    feed_watchdog()
    image_files.await_creations()
    os._exit(1)


def feed_watchdog() -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"WATCHDOG=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def main(folder: str, words: list[str]) -> None:
    mode, app, *rest = words
    if mode == "read":
        read(app, folder, *rest)
    elif mode == "work":
        work(app, folder, *rest)
    elif mode == "takeback":
        if os.path.exists(Host(app).run):  # a first provisioning that ends early lacks it
            step_log.remove(Host(app))
            takeback.settle(Host(app), say)
        staging.drop_staging(Host(app))
    else:
        retirement.retire(Host(app), *rest)
        retirement.drop_agents(Host(app), folder)  # its timer is the only one, and has come: no other agent is needed


# All requests that are no steps. The deployer reads here which answers their functions declare.
REQUESTS = {**READERS, **LOCKED, "lock": lock}
