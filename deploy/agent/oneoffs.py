"""Commands of the new release that run once: they bring the database up to date."""

import json

from . import images, releases, slots, takeback
from .host import Problem, at_once

ONE_OFF = "-e 'PGOPTIONS=-c lock_timeout=10s'"  # a migration that has to wait for a lock keeps visitors waiting too


def verdicts(host, attempt, say):
    """Migrations that part a release from its database, name → why: before a deploy those to come with which the
    release that is live cannot work, before a rollback those since with which the one to come cannot."""
    before = slots.release_in(host, attempt["live"]) or releases.read_tag(host.tag)
    coming, live = at_once([lambda: verdicts_of(host, attempt["image_id"]),
                            lambda: verdicts_of(host, before and before["image_id"])])
    if attempt["action"] == "rollback":
        return {"incompatible": incompatible(live, but=coming)}
    wrong = incompatible(coming, but=live)
    if wrong:
        applied = one_off(host, attempt, ["manage", "showmigrations", "--plan"], 120)
        wrong = {name: text for name, text in wrong.items() if "[X]  %s\n" % name not in applied.replace(" (", "\n(")}
    return {"incompatible": wrong}


def verdicts_of(host, image):
    """What the build has left in an image: migration → {"verdict", "messages"}."""
    return json.loads(image and images.content(host, image, "migrations.json") or "{}").get("migrations", {})


def incompatible(found, but):
    """name → why, of the migrations that the build found so."""
    return {name: "; ".join(entry.get("messages", ())) for name, entry in found.items()
            if entry["verdict"] == "error" and name not in but}


def one_off(host, attempt, words, seconds, extra=""):
    """Run a command of the new release to its end; its output. It carries the attempt's label, and is removed when it
    takes longer."""
    label = "--label %s=%s" % (takeback.ATTEMPT, attempt["id"])
    attempt.note(one_offs=True)
    try:
        done = host.call("docker-runner", "--slot", attempt["slot"], host.app, *words, timeout=seconds, check=False,
                         env={"EXTRA": " ".join([label, ONE_OFF, extra])})
    except Problem as problem:
        takeback.remove_one_offs(host, attempt)
        raise problem from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-50:]
        raise Problem("%s failed: exit %d" % (" ".join(words), done.returncode), log=lines)
    return done.stdout


def migrate(host, attempt, say, seconds):
    attempt.note(changed=True)
    one_off(host, attempt, ["migrate"], seconds)
