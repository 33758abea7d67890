"""What a deploy does on a host, step by step. Each step may be done twice; takeback.py undoes them all.

A step takes the host, the attempt as it is so far (its updates are on disk before what they tell of), its arguments,
and returns what the deployer should know. What goes wrong is a Problem.
"""

import json
import os
import threading
import time

from . import disk, http, images, releases, slots, takeback
from .host import Problem
from .journal import Answers, said

POLL = 0.1  # seconds
ONE_OFF = "-e 'PGOPTIONS=-c lock_timeout=10s'"  # a migration that has to wait for a lock keeps visitors waiting too


class Attempt(dict):
    """/run/APP/attempt, written whenever it changes."""

    def __init__(self, host, **values):
        super().__init__(values)
        self.host, self.lock = host, threading.Lock()

    def note(self, **values):
        with self.lock:
            self.update(values)
            releases.save_attempt(self.host, self)

    def release(self):
        return {"tag": self["tag"], "image_id": self["image_id"]}


# ---- before anything is started ----

def begin(host, attempt, say, **values):
    """Settle what a dead deploy has left, and empty the idle slot, unless it holds what a rollback wants."""
    takeback.settle(host, say)
    disk.remove(*(path + ".next" for path in (host.tag, host.revert, host.log)))
    live = slots.live(host)
    idle = slots.other(live)
    attempt.update(values, live=live, slot=idle, began=time.time(), renames=[], removes=[], one_offs=[])
    attempt.note(warm=is_warm(host, attempt, idle))
    if attempt["warm"]:
        slots.keep(host)
        return {"warm": True}
    if slots.running(host, *slots.units(host, idle)):
        say({"event": "progress", "text": "ending the release before the last in slot %s" % idle})
    slots.keep(host)
    if not slots.stop(host, idle):
        raise Problem("slot %s does not stop: see systemctl status '%s-*@%s'" % (idle, host.app, idle))
    return {"warm": False}


def is_warm(host, attempt, slot):
    """Whether the slot still runs what a rollback goes to, with the settings it had."""
    release = {"tag": attempt["tag"], "image_id": attempt.get("image_id")}
    if attempt["action"] != "rollback" or slots.release_in(host, slot) != release:
        return False
    if (disk.read(host.slot_file(slot, "env")) or "") != (settings(host, attempt)[0] or ""):
        return False
    return len(slots.running(host, *slots.units(host, slot))) == len(slots.units(host, slot))


def settings(host, attempt):
    """(text, the file it is from) of the settings that the release will have."""
    if attempt["action"] == "rollback":
        going_back = releases.read_tag(host.revert)
        paths = [host.env + ".revert"] if going_back and going_back["tag"] == attempt["tag"] else []
    else:
        paths = [host.env + ".next"]
    for path in [*paths, host.env]:
        text = disk.read(path)
        if text is not None:
            return text, path
    return None, None


def pull(host, attempt, say, image, credentials="", reference="", least=0):
    """The image is here, and the slot knows what it will run."""
    if attempt["warm"]:
        return {"image_id": attempt["image_id"]}
    found = images.image_id(host, attempt["image_id"]) if attempt.get("image_id") else ""
    if not found:
        make_room(host, image, least)
        found = images.pull(host, image, attempt["tag"], attempt["digest"], credentials, reference)
    text, path = settings(host, attempt)
    attempt.note(image_id=found, settings_from=path)
    slots.pin(host, attempt["slot"], attempt.release(), text)
    return {"image_id": found}


def make_room(host, image, least):
    """Remove old images where there are fewer than `least` bytes free."""
    root = host.docker("info", "--format", "{{.DockerRootDir}}").stdout.strip() or "/"
    status = os.statvfs(host.root + root)
    if status.f_bavail * status.f_frsize < least:
        images.prune(host, image)


def verdicts(host, attempt, say):
    """Migrations not yet applied with which the release that is live cannot work: their names, with reasons."""
    wrong = incompatible(images.content(host, attempt["image_id"], "migrations.json"))
    before = slots.release_in(host, attempt["live"]) or releases.read_tag(host.tag)
    if wrong and before and before["image_id"]:
        old = json.loads(images.content(host, before["image_id"], "migrations.json") or "{}").get("migrations", {})
        wrong = {name: text for name, text in wrong.items() if name not in old}
    if wrong:
        applied = one_off(host, attempt, ["manage", "showmigrations", "--plan"], 120)
        wrong = {name: text for name, text in wrong.items() if "[X]  %s\n" % name not in applied.replace(" (", "\n(")}
    return {"incompatible": wrong, "first": not before}


def incompatible(text):
    """name → why, of the migrations that the build found so."""
    found = json.loads(text or "{}").get("migrations", {})
    return {name: "; ".join(entry.get("messages", ())) for name, entry in found.items() if entry["verdict"] == "error"}


def one_off(host, attempt, words, seconds, extra=""):
    """Run a command of the new release to its end; its output. It is removed when it takes longer."""
    name = "-".join([host.app, *(words[:2] if words[0] == "manage" else words[:1])])
    attempt.note(one_offs=sorted({*attempt["one_offs"], name}))
    try:
        done = host.call("docker-runner", "--slot", attempt["slot"], host.app, *words, timeout=seconds, check=False,
                         env={"EXTRA": "%s %s" % (ONE_OFF, extra)})
    except Problem as problem:
        host.docker("rm", "-f", name, check=False)
        raise problem from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-50:]
        raise Problem("%s failed: exit %d" % (" ".join(words), done.returncode), log=lines)
    return done.stdout


def publish(host, attempt, say):
    """The release's hashed files beside those of the releases before. As root: the app itself may not change them."""
    attempt.note(changed=True)
    one_off(host, attempt, ["collectstatic", "/static"], 300,
            "--user 0:0 --network none -v %s/static:/static" % host.var)


def migrate(host, attempt, say, seconds):
    attempt.note(changed=True)
    one_off(host, attempt, ["migrate"], seconds)


# ---- the idle slot ----

def start(host, attempt, say, roles):
    """Start the slot's units of these roles."""
    names = [host.unit(role, attempt["slot"]) for role in roles if host.has(role)]
    attempt.note(changed=True)
    if "worker" in roles:
        slots.resume(host, attempt["slot"])
    if names:
        host.systemctl("start", "--no-block", *names)


def ready(host, attempt, say, seconds, smoke, roles):
    """Wait until web and worker of the slot work, by their own word. Raises Problem as soon as one has died."""
    deadline = time.monotonic() + seconds
    waiting = [role for role in roles if host.has(role)]
    units = {role: host.unit(role, attempt["slot"]) for role in waiting}
    restarts = {role: state.get("NRestarts") for role, state in states(host, units).items()}
    while waiting:
        problems = {role: CHECKS[role](host, attempt, smoke) for role in waiting}
        waiting = [role for role in waiting if problems[role]]
        for role, state in states(host, {role: units[role] for role in waiting}).items():
            if state.get("SubState") == "auto-restart" or state.get("NRestarts") != restarts[role]:
                raise with_log(host, attempt, role, Problem("%s ended as soon as it had started" % role))
        if waiting and time.monotonic() > deadline:
            raise with_log(host, attempt, waiting[0], problems[waiting[0]], " after %d s" % seconds)
        time.sleep(POLL if waiting else 0)


def states(host, units):
    """role → systemd's properties of its unit."""
    found = host.states(*units.values()) if units else {}
    return {role: found.get(unit, {}) for role, unit in units.items()}


def web_problem(host, attempt, smoke):
    """Why the slot's web is not ready, as a Problem; None when it is."""
    sock, site = host.slot(attempt["slot"], "web.sock"), site_of(host, attempt["slot"])
    problem = http.not_ready(sock, attempt["tag"], site)
    if problem:
        return problem
    smoke_all(sock, smoke, site)
    return None


def worker_problem(host, attempt, smoke):
    state, release = slots.worker_state(host, attempt["slot"])
    if state == "consuming" and release == attempt["tag"]:
        return None
    return Problem("the worker is %s" % (state and "%s as release %s" % (state, release) or "not consuming"))


CHECKS = {"web": web_problem, "worker": worker_problem}


def site_of(host, slot):
    return http.site_of(disk.read(host.slot_file(slot, "env")))


def smoke_all(sock, paths, site):
    """Ask all paths, several at once. Raises the Problem of the first that does not answer."""
    problems = [None] * len(paths)

    def ask(index):
        try:
            http.smoke(sock, paths[index], site)
        except Problem as problem:
            problems[index] = problem
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(paths))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for problem in filter(None, problems):
        raise problem


def with_log(host, attempt, role, problem, after=""):
    """The problem with what the container has logged."""
    lines = said(host, host.container(role, attempt["slot"]), attempt["began"])
    return Problem(str(problem) + after, **dict(problem.more, log=lines))


# ---- visitors, tasks ----

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
        try:
            attempt.answers.look(max_errors)
        except Problem as problem:
            raise with_log(host, attempt, "web", problem) from None
        problem = http.not_ready(host.run + "/nginx.sock", attempt["tag"], site_of(host, attempt["slot"]))
        bad = bad + 1 if problem else 0
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
                  "settings": disk.read(host.slot_file("beat", "env")) or disk.read(host.env)}
    if "beat_before" not in attempt:
        attempt.note(beat_before=before)
    host.systemctl("stop", unit, timeout=90)
    slots.pin(host, "beat", attempt.release(), disk.read(host.slot_file(attempt["slot"], "env")))
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


# ---- the end ----

def prepare(host, attempt, say):
    """The first half of a commit: all that is to be written lies beside its place. A host that has come this far and
    hears no more commits by itself."""
    renames, removes = [], []
    current = releases.read_tag(host.tag)
    if attempt["action"] != "restart":
        write_next(host, attempt, current, renames, removes)
    if attempt.get("settings_from") and attempt["settings_from"] != host.env:
        renames.append([attempt["settings_from"], host.env])
    record = takeback.record(attempt, "committed")
    if attempt["action"] == "rollback" and current:
        record["withdrawn"] = current["tag"]
    disk.write(host.log + ".next", releases.with_record(disk.read(host.log) or "", record))
    renames.append([host.log + ".next", host.log])
    attempt.note(renames=renames, removes=removes, prepared=True)


def write_next(host, attempt, current, renames, removes):
    """TAG.next and REVERT.next, and the settings that a rollback brings back."""
    records = releases.read_log(host)[0]
    left = current["tag"] if current and attempt["action"] == "rollback" else ""
    revert = releases.revert_for(records, current, attempt["tag"], left)
    disk.write(host.tag + ".next", releases.tag_text(attempt.release()))
    renames.append([host.tag + ".next", host.tag])
    before = releases.read_tag(host.revert)
    if not revert or before and before["tag"] == attempt["tag"]:
        removes.append(host.revert)
    if revert:
        disk.write(host.revert + ".next", releases.tag_text(revert))
        renames.append([host.revert + ".next", host.revert])
    old = disk.read(host.env)
    if attempt["action"] == "deploy" and current and old is not None:
        disk.write(host.env + ".revert.next", old, 0o600)
        renames.append([host.env + ".revert.next", host.env + ".revert"])


def commit(host, attempt, say):
    """The second half. The old slot stays warm for a while."""
    takeback.commit(host, attempt, say)
    drained = slots.drain(host, attempt["live"])
    return {"seconds": round(time.time() - attempt["began"], 1), "drained": drained}


def prune(host, attempt, say, image):
    return {"removed": images.prune(host, image)}


STEPS = {step.__name__: step for step in (begin, pull, verdicts, publish, migrate, start, ready, pause, flip, watch,
                                          beat, prepare, commit, prune)}
