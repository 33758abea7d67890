"""Tasks, visitors and the clock come to the new release."""

import time

from . import disk, facts, http, releases, slots
from .host import Problem
from .proof import POLL, healthy, of_role, site_of, smoke_all
from .watcher import Watcher


def pause(host, attempt, say, seconds=10):
    """Old workers stop taking tasks, and say so."""
    unit = host.unit("worker", attempt["live"])
    if not host.has("worker") or not slots.running(host, unit):
        return {}
    slots.pause(host, attempt["live"])
    deadline = time.monotonic() + seconds
    while slots.worker_state(host, attempt["live"])[0] == "consuming":
        if time.monotonic() > deadline:
            say({"event": "progress", "text": "the old worker does not say that it takes no more tasks"})
            break
        time.sleep(POLL)
    return {}


def flip(host, attempt, say, smoke, roles, watch=None):
    """The slot gets the visitors, and answers them through nginx. From here on it is watched, where `watch` says how:
    Watcher's max_errors and alone."""
    attempt.note(changed=True, flipped=True)
    slots.way_back(host, attempt["live"])
    attempt.watcher = watch and Watcher(host, attempt, say, **watch)
    slots.flip(host, attempt["slot"])
    if attempt.watcher:
        attempt.watcher.start()
    if not host.has("web"):
        return {}
    site, sock = site_of(host, attempt["slot"]), host.run + "/nginx.sock"
    problem = http.not_ready(sock, attempt["tag"], site)
    if problem:
        raise of_role(host, attempt, "web", problem, " through nginx")
    smoke_all(sock, smoke, site)
    return {}


def watch(host, attempt, say, seconds):
    """Give it time to fail."""
    total, errors = attempt.watcher.rest(seconds)
    return {"answers": total, "errors": errors}


def beat(host, attempt, say, seconds):
    """The old one stops, then the new one starts."""
    unit, name, before = host.unit("beat"), host.container("beat"), None
    if slots.running(host, unit):
        before = {"release": slots.release_in(host, "beat") or releases.read_tag(host.tag),
                  "settings": disk.read_exact(host.slot_file("beat", "env")) or disk.read_exact(host.env)}
    if "beat_before" not in attempt:
        attempt.note(beat_before=before)
    host.systemctl("stop", unit, timeout=90)
    slots.set_aside(host, "beat")
    slots.pin(host, "beat", attempt.release(), disk.read_exact(host.slot_file(attempt["slot"], "env")))
    host.systemctl("start", unit, timeout=90)
    deadline = time.monotonic() + seconds
    while not healthy(host, name):
        if time.monotonic() > deadline:
            raise of_role(host, attempt, "beat", Problem("beat does not get healthy"), " within %d s" % seconds)
        time.sleep(POLL)
    attempt.born(facts.listed(host), [name])
