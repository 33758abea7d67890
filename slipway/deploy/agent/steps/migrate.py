"""Commands of the new release that run once, as migrations do."""

from __future__ import annotations

from collections.abc import Sequence

from .. import image_files
from ..attempt import Attempt
from ..host import Host, Problem
from ..shapes import Noted, Say

ATTEMPT = "docker-runner.attempt"  # the label of one-offs
ONE_OFF = "-e 'PGOPTIONS=-c lock_timeout=10s'"  # a migration that has to wait for a lock keeps visitors waiting too


def one_off(host: Host, attempt: Attempt, words: Sequence[str], seconds: float, extra: str = "", slot: str = "") -> str:
    """Run a command of a slot's release in a labelled container; its output. Raises Problem if it fails or is late."""
    label = "--label %s=%s" % (ATTEMPT, attempt.noted["id"])
    attempt.note(one_offs=True)
    try:
        done = host.call("docker-runner", "--slot", slot or attempt.noted["slot"], host.app, *words, timeout=seconds,
                         check=False, env={"EXTRA": " ".join([label, ONE_OFF, extra])})
    except Problem as problem:
        remove_one_offs(host, attempt.noted)
        raise problem from None
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-50:]
        raise Problem("%s failed: exit %d" % (" ".join(words), done.returncode), log=lines)
    return done.stdout


def remove_one_offs(host: Host, attempt: Noted) -> None:
    """Remove containers that this attempt has started, by its label: others of the same name are somebody else's."""
    image_files.sweep(host)
    if not attempt.get("one_offs"):  # then the engine is not needed
        return
    for _ in range(5):  # one may end, and be removed, at the same moment
        label = "label=%s=%s" % (ATTEMPT, attempt["id"])
        left = host.docker("ps", "-aq", "--filter", label).stdout.split()
        if not left:
            return
        host.docker("rm", "-f", *left, check=False)
    raise Problem("containers do not go: %s" % " ".join(left))


def migrate(host: Host, attempt: Attempt, say: Say, seconds: float) -> None:
    """Apply the new release's migrations, within so many seconds."""
    attempt.note(changed=True)
    one_off(host, attempt, ["migrate"], seconds)


def upload(host: Host, attempt: Attempt, say: Say, bucket: str, seconds: float) -> None:
    """Add the release's static files to those in a bucket. An error is the image's own line."""
    attempt.note(changed=True)
    try:
        one_off(host, attempt, ["collectstatic", bucket], seconds)
    except Problem as problem:
        said = problem.more.get("log", [])[-1:]
        raise Problem(said[0]) if said and said[0].startswith("collectstatic: ") else problem from None
