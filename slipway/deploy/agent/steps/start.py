"""Starting the idle slot. What then ends is told at once, whatever step is under way; a web says what it migrates."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Sequence

from .. import disk, http, slots
from ..attempt import Attempt
from ..host import Host, Problem, wait_until
from ..shapes import Say
from .readiness import await_containers, must_work, role_problem

DIED = "%7B%22event%22:%5B%22die%22%5D,%22label%22:%5B%22docker-runner.image%22%5D%7D"  # containers of docker-runner's
EVENT = 2**20  # bytes that are read of an event
PLAN = 10**6  # bytes of web.plan
BOOT = 60  # seconds that web.plan is waited for
LINE = re.compile(r"\[[X ]\]  [!-~]+\.[!-~]+")  # of `showmigrations --plan`


def start(host: Host, attempt: Attempt, say: Say, roles: Sequence[str]) -> None:
    """Start the slot's units of these roles."""
    slot, here = attempt.noted["slot"], [role for role in roles if host.has(role)]
    attempt.note(changed=True)
    if "worker" in here:
        slots.resume(host, slot)
    if here:
        hear_ends(host, attempt, say)
        host.systemctl("start", "--no-block", *(host.unit(role, slot) for role in here))
        await_containers(host, {host.container(role, slot) for role in here})


# ---- what ends before visitors come ----

def hear_ends(host: Host, attempt: Attempt, say: Say) -> None:
    """Hear from the engine, from now on until the flip, which of the slot's containers end."""
    if attempt.hears:
        return
    attempt.hears, listening = True, threading.Event()
    threading.Thread(target=hear, args=(host, attempt, say, listening), daemon=True).start()
    listening.wait(2)  # an engine that hangs is noticed by those that need it


def hear(host: Host, attempt: Attempt, say: Say, listening: threading.Event) -> None:
    """Read what the engine tells. Where it stops doing so, `ready` sees by systemd what has ended."""
    try:
        with http.stream(host.docker_sock, "/events?filters=" + DIED, None) as (status, events):
            listening.set()
            for line in iter(lambda: events.readline(EVENT) if status == 200 else b"", b""):
                role = role_of(host, attempt, line)
                if attempt.flipped.is_set():
                    return
                if role and must_work(attempt, role) and not attempt.died:
                    fail(host, attempt, say, role)
    except OSError:
        listening.set()
    finally:
        attempt.hears = False


def role_of(host: Host, attempt: Attempt, line: bytes) -> str:
    """The role of the slot's container that an event is about; "" where it is about another."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        actor = json.loads(line)["Actor"]
        name, id = actor["Attributes"]["name"], actor["ID"]
        if attempt.anew.get(name, id) == id:
            return next((role for role in host.in_slots() if host.container(role, attempt.noted["slot"]) == name), "")
    return ""


def fail(host: Host, attempt: Attempt, say: Say, role: str) -> None:
    """Tell the deployer, who takes all hosts back, unless it may have ended for want of migrations that are to come."""
    attempt.died = problem = role_problem(host, attempt, role, Problem("%s ended as soon as it had started" % role))
    say({"event": "sick", "step": "start", "problem": str(problem), "more": problem.more})


# ---- what a web says of its migrations ----

def told(host: Host, attempt: Attempt) -> dict[str, bool] | None:
    """Return the release's migrations, and if they are applied, by the web.plan that its web writes as it boots. None
    where it does not know, has ended, or is of a version that does not write it."""
    slot, found = attempt.noted["slot"], [""]

    def has_spoken() -> bool:
        listens = http.listens(host.slot(slot, "web.sock"))  # asked first: then the file was there before
        text = disk.read_small(host.slot(slot, "web.plan"), PLAN + 1)
        found.append(text or "")
        return bool(text or attempt.died) or text is None and listens
    wait_until(has_spoken, BOOT)
    return parse_told(found[-1], attempt.noted["tag"])


def parse_told(text: str, tag: str) -> dict[str, bool] | None:
    """Return the content of web.plan; None where it is not this release's word on its migrations."""
    first, *lines = text.splitlines() or [""]
    if len(text) > PLAN or first != "release " + tag or not lines or not all(map(LINE.fullmatch, lines)):
        return None
    return {line.split()[-1]: line.startswith("[X]") for line in lines}
