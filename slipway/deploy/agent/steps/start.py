"""Start the idle slot, and wait until it is ready. A container that exits fails the attempt. Only web may exit before
the migrations, which it may need; after them it is started again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Sequence
from typing import NamedTuple

from .. import disk, facts, http, slots
from ..attempt import Attempt
from ..host import Host, Problem, lines_of, wait_until
from ..message_types import Say
from .readiness import await_containers, empty_slot, exit_problem, must_work, refuse_strangers, wait_until_ready
from .step import step

DIED = "%7B%22event%22:%5B%22die%22%5D,%22label%22:%5B%22docker-runner.image%22%5D%7D"  # a filter: exits of containers
EVENT = 2**20  # bytes; a longer event is not read whole
PLAN = 10**6  # bytes; a longer web.plan (the web's list of migrations) counts as malformed
BOOT = 60  # seconds to wait until the web has written web.plan
MEDIA = re.compile(r"media (local|database|bucket)")  # the second line; older releases lack it
LACKS = re.compile(r"lacks ([ -~]{1,2000})")  # the lines that come next, in newer releases
LINE = re.compile(r"\[[X ]\]  [!-~]+\.[!-~]+")  # a line of `showmigrations --plan`


@step(120, undo=empty_slot, takeback="drain and stop the new release")
def start(host: Host, attempt: Attempt, say: Say, roles: Sequence[str], migrated: bool = False) -> None:
    """Start `roles` in the slot. `migrated`: True to start only what exited before the migrations."""
    slot = attempt.noted["slot"]
    present = [role for role in roles if host.has(role)]
    if migrated:
        start_again(host, attempt)
        return
    refuse_strangers(host, attempt, {role: host.container(role, slot) for role in present})
    if "worker" in present:
        slots.resume(host, slot)
    if present:
        start_listening(host, attempt, say)
        host.systemctl("start", "--no-block", *(host.unit(role, slot) for role in present))
        await_containers(host, {host.container(role, slot) for role in present})


@step(120, undo=None, takeback="it only asks")
def ready(host: Host, attempt: Attempt, say: Say, seconds: float, smoke: Sequence[str], roles: Sequence[str]) -> None:
    """Wait until the slot's `roles` are ready. `smoke`: paths that web must answer."""
    forbid_exits(attempt, say)
    wait_until_ready(
        host,
        attempt,
        say,
        {role: host.unit(role, attempt.noted["slot"]) for role in roles if host.has(role)},
        smoke,
        seconds,
    )


# ---- containers that exit before the flip ----


def start_listening(host: Host, attempt: Attempt, say: Say) -> None:
    if attempt.hears:
        return
    attempt.hears = True
    listening = threading.Event()
    threading.Thread(target=report_container_ends, args=(host, attempt, say, listening), daemon=True).start()
    listening.wait(2)  # wait at most 2 s: if Docker hangs, a later call will fail and report it


def report_container_ends(host: Host, attempt: Attempt, say: Say, listening: threading.Event) -> None:
    """Report containers of the new slot that exit before the flip. Set `listening` once Docker answers or fails."""
    try:
        with http.stream(host.docker_sock, "/events?filters=" + DIED, None) as (status, events):
            listening.set()
            for line in iter(lambda: events.readline(EVENT) if status == 200 else b"", b""):
                role = role_of(host, attempt, line)
                if attempt.flipped.is_set():
                    return
                if role and must_work(attempt, role) and not attempt.died:
                    report_exit(host, attempt, say, role)
    except OSError:
        listening.set()
    finally:
        attempt.hears = False


def role_of(host: Host, attempt: Attempt, line: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        actor = json.loads(line)["Actor"]
        name = actor["Attributes"]["name"]
        id = actor["ID"]
        if attempt.restarted.get(name, id) == id:
            return next((role for role in host.in_slots() if host.container(role, attempt.noted["slot"]) == name), "")
    return ""


def report_exit(host: Host, attempt: Attempt, say: Say, role: str) -> None:
    """Report that a role's container exited."""
    attempt.died = problem = exit_problem(host, attempt, role)
    if role == "web" and not attempt.migrated:  # after `died` is set: others set and read in the other order
        say({"event": "progress", "text": f"{problem}; it may need the migrations"})
    else:
        report_sick(problem, say)


def report_sick(problem: Problem, say: Say) -> None:
    say({"event": "sick", "step": "start", "problem": str(problem), "details": problem.details})


def forbid_exits(attempt: Attempt, say: Say) -> None:
    """Fail the attempt if web has exited or exits from now on: it lacks no migration."""
    attempt.migrated = True
    if attempt.died:
        report_sick(attempt.died, say)
        raise attempt.died


def start_again(host: Host, attempt: Attempt) -> None:
    """Restart the slot's web if it has exited. Ignore late news of that, but from now on web must not exit."""
    attempt.migrated = True
    if not attempt.died:
        return
    slot = attempt.noted["slot"]
    name = host.container("web", slot)
    host.systemctl("restart", host.unit("web", slot), timeout=90)
    await_containers(host, {name})
    attempt.restarted = {name: (facts.containers(host, ended=True) or {}).get(name, ("",))[0]}
    attempt.died = None


# ---- the web's migrations ----


def web_plan(host: Host, attempt: Attempt) -> dict[str, bool] | None:
    """Wait at most BOOT seconds until the new web has written web.plan. Return the migrations in this file
    (name → True if applied), or None if the file is missing or invalid. Set `attempt.media` and `attempt.lacking`."""
    slot = attempt.noted["slot"]
    texts = [""]

    def has_spoken() -> bool:
        listens = os.path.exists(host.slot(slot, "web.sock"))  # check this first: web creates web.plan before it
        text = disk.read_small(host.slot(slot, "web.plan"), PLAN + 1)
        texts.append(text or "")
        return bool(text or attempt.died) or (text is None and listens)

    wait_until(has_spoken, BOOT)
    attempt.media, attempt.lacking, listed = parse_web_plan(texts[-1], attempt.noted["tag"])
    return listed


class WebPlan(NamedTuple):
    """What web.plan tells: the place of uploads, what the release misses in the database, and its migrations. All is
    empty, and `migrations` None, if it is malformed or of another release."""

    media: str
    lacking: list[str]
    migrations: dict[str, bool] | None


def parse_web_plan(text: str, tag: str) -> WebPlan:
    first, *lines = lines_of(text) or [""]
    media = MEDIA.fullmatch(lines[0]) if lines else None
    if media:
        lines = lines[1:]
    lacking = [match[1] for match in map(LACKS.fullmatch, lines) if match]
    lines = lines[len(lacking) :]
    if len(text) > PLAN or first != "release " + tag or not lines or not all(map(LINE.fullmatch, lines)):
        return WebPlan("", [], None)
    migrations = {line.split()[-1]: line.startswith("[X]") for line in lines}
    return WebPlan(media[1] if media else "", lacking, migrations)
