"""One-offs: commands that run once in a slot's release, such as migrations."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import docker
from ..attempt import Attempt
from ..host import Host, Late, Problem, lines_of, wait_until
from ..message_types import Noted, Say
from .step import step

ATTEMPT = "docker-runner.attempt"  # label of containers that run one command; its value is the attempt's id
REMOVAL = 10  # limit: seconds until Docker has removed them
ONE_OFF = "-e 'PGOPTIONS=-c lock_timeout=10s'"  # limit: visitors queue behind a migration that waits for a lock
RUNS = re.compile(r"Applying (\S+)\.\.\.(?! OK)")  # Django says so of the migration that it begins
BEGUN = re.compile(r"Applying (\S+)\.\.\.")  # again if it is tried again
MOST = 10  # names of migrations in a record
ENDING = 5  # seconds before it is killed, migrate stops trying to get a lock, to report why


def one_off(
    host: Host, attempt: Attempt, words: Sequence[str], seconds: float, slot: str = "", options: str = ""
) -> str:
    """Run a command in the release of `slot` (default: the new slot); return its output. Raise Problem if it fails."""
    extra = f"--label {ATTEMPT}={attempt.noted['id']} {ONE_OFF}{options}"
    attempt.note(one_offs=True)
    try:
        done = host.call(
            "docker-runner",
            "--slot",
            slot or attempt.noted["slot"],
            host.app,
            *words,
            timeout=seconds,
            check=False,
            env={"EXTRA": extra},
        )
    except Problem as problem:
        remove_one_offs(host, attempt.noted)
        raise problem from None
    if done.returncode:
        lines = lines_of((done.stdout + done.stderr).strip())[-50:]
        cause = ": ".join([f"{' '.join(words)} failed: exit {done.returncode}", *lines[-1:]])
        raise Problem(cause, log=lines)
    return done.stdout


def remove_one_offs(host: Host, attempt: Noted) -> None:
    """Remove the containers of this attempt's one-offs. Find them by label: other containers may share names."""
    if not attempt.get("one_offs"):  # no one-off container was started: do not ask Docker
        return
    label = f"{ATTEMPT}={attempt['id']}"

    def are_gone() -> bool:
        left = docker.ask(host, "GET", docker.path_with_filter("/containers/json?all=1", "label", label), "docker ps")
        for container in left:
            docker.call(host, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
        return not left

    if not wait_until(are_gone, REMOVAL):  # retry: Docker may be removing a container already
        raise Problem(f"containers with the label {label} cannot be removed")


@step(120, undo=remove_one_offs, takeback="the migrations stay: the old release works with them")
def migrate(host: Host, attempt: Attempt, say: Say, seconds: float, max_lock: float) -> None:
    limits = f" -e LOCK_SECONDS={int(max(1, seconds - ENDING))} -e MAX_LOCK={max_lock:g}"
    try:
        printed = one_off(host, attempt, ["migrate"], seconds, options=limits)
    except Late as late:
        name = (RUNS.findall("\n".join(late.details["log"])) or ["no migration"])[-1]
        raise Problem(
            f"migrate did not end within {seconds:g} s, the limit of [rollout] migrate in production.toml:"
            f" {name} was under way",
            **late.details,
        ) from None
    locks = [line for line in lines_of(printed) if line.startswith("lock: ")]
    for line in locks:  # slipway/management/commands/migrate.py says it
        say({"event": "progress", "text": line})
    attempt.note(migrations=migrations_record([*dict.fromkeys(BEGUN.findall(printed))], locks))


def migrations_record(names: Sequence[str], locks: Sequence[str]) -> str:
    """Return what a record says of the migrations that ran, and of those whom they locked."""
    rest = [f"{len(names) - MOST} more"] if len(names) > MOST else []
    return "; ".join(filter(None, [", ".join([*names[:MOST], *rest]), *(lock[:200] for lock in locks[:MOST])]))


@step(120, undo=remove_one_offs, takeback="the files stay, unused")
def upload(host: Host, attempt: Attempt, say: Say, bucket: str, seconds: float) -> None:
    """Upload static files to a bucket."""
    one_off(host, attempt, ["collectstatic", bucket], seconds)
