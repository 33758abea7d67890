"""Tasks, visitors and the clock come to the new release, and back to the old one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from .. import disk, facts, http, releases, slots
from ..answers import Watched
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import BeatBefore, Noted, Say, WatchOptions
from .readiness import POLL, healthy, of_role, site_of, smoke_all
from .watcher import Watcher


def pause(host: Host, attempt: Attempt, say: Say, seconds: float = 10) -> None:
    """Old workers stop taking tasks, and say so."""
    unit = host.unit("worker", attempt.noted["live"])
    if not host.has("worker") or not slots.running(host, unit):
        return
    slots.pause(host, attempt.noted["live"])
    deadline = time.monotonic() + seconds
    while slots.worker_state(host, attempt.noted["live"])[0] == "consuming":
        if time.monotonic() > deadline:
            say({"event": "progress", "text": "the old worker does not say that it takes no more tasks"})
            return
        time.sleep(POLL)


def workers_back(host: Host, attempt: Noted) -> None:
    """Old workers consume again; new ones stop taking tasks."""
    if host.has("worker"):
        slots.resume(host, attempt["live"])
        with contextlib.suppress(OSError):  # it is stopped anyway: with no room for the file, a bit later
            slots.pause(host, attempt["slot"])


def flip(host: Host, attempt: Attempt, say: Say, smoke: Sequence[str], roles: Sequence[str],
         watch: WatchOptions | None = None) -> None:
    """The slot gets the visitors, and answers them through nginx. From here on it is watched, where `watch` says how:
    Watcher's max_errors and alone."""
    attempt.note(changed=True, flipped=True)
    slots.way_back(host, attempt.noted["live"])
    watcher = attempt.watcher = Watcher(host, attempt, say, **watch) if watch else None
    slots.flip(host, attempt.noted["slot"])
    if watcher:
        watcher.start()
    if not host.has("web"):
        return
    site, sock = site_of(host, attempt.noted["slot"]), host.run + "/nginx.sock"
    problem = http.not_ready(sock, attempt.noted["tag"], site)
    if problem:
        raise of_role(host, attempt, "web", problem, " through nginx")
    smoke_all(sock, smoke, site)


def flip_back(host: Host, attempt: Noted) -> None:
    """Visitors back to the slot that was live."""
    slots.flip_back(host, attempt["live"])


def watch(host: Host, attempt: Attempt, say: Say, seconds: float) -> Watched:
    """Give it time to fail."""
    if not attempt.watcher:
        raise Problem("nothing is watched here: no flip has begun it")
    total, errors = attempt.watcher.rest(seconds)
    return {"answers": total, "errors": errors}


def beat(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """The old one stops, then the new one starts."""
    unit, name = host.unit("beat"), host.container("beat")
    before: BeatBefore | None = None
    if slots.running(host, unit):
        before = {"release": slots.release_in(host, "beat") or releases.read_tag(host.tag),
                  "settings": disk.read_exact(host.slot_file("beat", "env")) or disk.read_exact(host.env)}
    if "beat_before" not in attempt.noted:
        attempt.note(beat_before=before)
    host.systemctl("stop", unit, timeout=90)
    slots.set_aside(host, "beat")
    slots.pin(host, "beat", attempt.release(), disk.read_exact(host.slot_file(attempt.noted["slot"], "env")))
    host.systemctl("start", unit, timeout=90)
    deadline = time.monotonic() + seconds
    while not healthy(host, name):
        if time.monotonic() > deadline:
            raise of_role(host, attempt, "beat", Problem("beat does not get healthy"), " within %d s" % seconds)
        time.sleep(POLL)
    attempt.born(facts.listed(host), [name])


def beat_back(host: Host, attempt: Noted) -> None:
    """The old beat again, where it was stopped."""
    if "beat_before" not in attempt:
        return
    unit, before = host.unit("beat"), attempt["beat_before"]
    host.systemctl("stop", unit, timeout=90)
    slots.bring_back(host, "beat")
    tag, env = host.slot_file("beat", "tag"), host.slot_file("beat", "env")
    if not before:
        disk.remove(tag, env)
        return
    release = before["release"]  # none where it ran without being written down: then there is nothing to write
    if release and (releases.read_tag(tag), disk.read_exact(env)) != (release, before["settings"]):
        slots.pin(host, "beat", release, before["settings"])
    host.systemctl("start", unit, timeout=90)
