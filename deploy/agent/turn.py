"""Tasks, visitors and the clock come to the new release, and how it does then."""

import json
import time

from . import disk, http, releases, slots
from .host import Problem
from .journal import Answers, said
from .proof import POLL, site_of, smoke_all, with_log, worker_problem


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


def flip(host, attempt, say, smoke, roles):
    """The slot gets the visitors, and answers them through nginx."""
    attempt.note(changed=True, flipped=True)
    attempt.answers = Answers(host)
    slots.flip(host, attempt["slot"])
    if not host.has("web"):
        return {}
    site, sock = site_of(host, attempt["slot"]), host.run + "/nginx.sock"
    problem = http.not_ready(sock, attempt["tag"], site)
    if problem:
        raise with_log(host, attempt, "web", problem, " through nginx")
    smoke_all(sock, smoke, site)
    return {}


def watch(host, attempt, say, seconds, max_errors):
    """Look on for some time: is it ready all the while, and are visitors answered well? A release that fails to be
    ready is given a second, as a host may be busy."""
    if not host.has("web"):
        return watch_worker(host, attempt, seconds)
    deadline, bad = time.monotonic() + seconds, 0
    while True:
        good = attempt.answers.good
        problem = http.not_ready(host.run + "/nginx.sock", attempt["tag"], site_of(host, attempt["slot"]))
        try:
            attempt.answers.look(max_errors)
        except Problem as error:
            raise with_log(host, attempt, "web", error) from None
        # No answer in time, and visitors got theirs: our question waits in a queue of many, as theirs do.
        queues = problem and not problem.more["status"] and attempt.answers.good > good
        bad = bad + 1 if problem and not queues else 0
        if bad >= 4:
            raise with_log(host, attempt, "web", problem, " through nginx")
        if time.monotonic() > deadline and not bad:
            return {"answers": attempt.answers.good + attempt.answers.bad, "errors": attempt.answers.bad}
        time.sleep(0.25)


def watch_worker(host, attempt, seconds):
    """The same for a host without visitors: its worker still runs in the end."""
    time.sleep(seconds)
    problem = host.has("worker") and worker_problem(host, attempt, ())
    if problem:
        raise with_log(host, attempt, "worker", problem)
    return {}


def beat(host, attempt, say, seconds):
    """The old one stops, then the new one starts."""
    unit, before = host.unit("beat"), None
    if slots.running(host, unit):
        before = {"release": slots.release_in(host, "beat") or releases.read_tag(host.tag),
                  "settings": disk.read_exact(host.slot_file("beat", "env")) or disk.read_exact(host.env)}
    if "beat_before" not in attempt:
        attempt.note(beat_before=before)
    host.systemctl("stop", unit, timeout=90)
    slots.pin(host, "beat", attempt.release(), disk.read_exact(host.slot_file(attempt["slot"], "env")))
    host.systemctl("start", unit, timeout=90)
    deadline = time.monotonic() + seconds
    while not healthy(host, host.container("beat")):
        if time.monotonic() > deadline:
            raise Problem("beat does not get healthy within %d s" % seconds,
                          log=said(host, host.container("beat"), attempt["began"]))
        time.sleep(POLL)


def healthy(host, container):
    """What the container's own healthcheck says."""
    form = "{{if .State.Running}}{{json .Config.Entrypoint}}{{end}}"
    entry = json.loads(host.docker("inspect", "--format", form, container, check=False).stdout.strip() or "null")
    return bool(entry) and not host.docker("exec", container, *entry, "healthcheck", check=False).returncode
