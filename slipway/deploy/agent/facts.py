"""Facts about this host, by which the deployer plans and `status` tells."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

from slipway import envfile

from . import (
    celery,
    disk,
    docker,
    errors,
    http,
    memory,
    provisioned,
    releases,
    site,
    site_check,
    slots,
    sqlite,
    strangers,
    timers,
    visitors,
)
from .host import Host, Problem, in_parallel, lines_of, lock_holder
from .message_types import (
    Any,
    Container,
    Docker,
    Facts,
    Front,
    Kept,
    Properties,
    Record,
    Release,
    Running,
    SlotFacts,
    T,
    UnitFacts,
)

JOURNAL = 5  # seconds to wait for journalctl


class LogLines(TypedDict):
    """The last lines of a log."""

    log: list[str]


def collect(
    host: Host,
    paths: Sequence[str] = (),
    health: bool = False,
    tag: str = "",
    history: bool = True,
    blind: bool = False,
) -> Facts:
    """Return facts about the host. `paths`: of provisioned files; `health`: ask if web and worker are ready, if nginx
    shows visitors the app, and what runs by the clock; `blind`: test if nginx logs requests; `tag`: add releases.log's
    records about this tag; `history`: add the newest 100 records, and with `health` ask for logs and tasks."""
    runs: Running
    engine, running, runs, foreign, notes = in_parallel(
        [
            lambda: docker_info(host),
            lambda: ask_engine(host, "/containers/json") or [],
            lambda: running_facts(host, health),
            lambda: site_check.strangers(host) if health else [],
            lambda: first_log_note(host) if health and history else [],
        ]
    )
    up = ours(host, running)
    kept = kept_releases(host, tag, 100 if history else 0)
    folders = (engine.get("root", "/"), "/var/www/" + host.app, "/run", "/var/log")
    return {
        **kept,
        **runs,
        **memory.free_and_needed(host, up, runs["live"]),
        "problems": [*kept["problems"], *runs["problems"]],
        "plan": (disk.read(host.slot_file(runs["live"] or "a", "plan")) or "") if tag else "",
        "arch": os.uname().machine,
        "files": provisioned.states(host, paths),
        "docker": engine,
        "containers": up,
        "settings": settings_problems(host),
        "names": [*envfile.read(next_settings(host) or b"", "")[0]],
        "site": nginx_front(host),
        "strangers": [*strangers.among(host, running), *foreign],
        "blind": visitors.Visitors(host).log_problem() if blind and host.has("web") else "",
        "sqlite": sqlite.problem(host, next_settings(host)),
        "staged": os.path.exists(host.next_env),
        "notes": [*maintenance_note(host), *notes],
        "tasks": failed_tasks(host, runs["live"], kept["tag"]) if health and history and runs["live"] else [],
        "timed": {role: timers.state(host, role, when) for role, when in timers.schedules(host).items() if health},
        "now": time.time(),
        "free": {path: free_bytes(host.root + path) for path in folders},
    }


def kept_releases(host: Host, tag: str, last: int = 100) -> Kept:
    """Return what the host's files keep: of releases.log the newest `last`, and 100 about `tag` or REVERT's."""
    problems: list[str] = []
    nothing: tuple[list[Record], int] = [], 0
    records, torn = value_or(problems, nothing, releases.read_log, host)
    revert = value_or(problems, None, releases.read_tag, host.revert)
    tags = {tag, revert and revert["tag"]}
    left = value_or(problems, None, releases.read_attempt, host)
    return {
        "tag": value_or(problems, None, releases.read_tag, host.tag),
        "revert": revert,
        "torn": torn,
        "records": records[-last:] if last else [],
        "history": [record for record in records if record["tag"] in tags][-100:],
        "attempt": left["tag"] if left else None,
        "coming": left.get("slot") if left else None,
        "problems": problems,
    }


def value_or(problems: list[str], other: T, function: Callable[..., T], *words: Any) -> T:
    """Return function(*words). On a Problem or OSError, add the error to `problems` and return `other`."""
    try:
        return function(*words)
    except Problem as problem:
        problems.append(str(problem))
    except OSError as error:
        problems.append(f"{error.filename}: {error.strerror}")
    return other


def ask_engine(host: Host, path: str) -> Any:
    """Return Docker's answer; None if Docker fails."""
    return value_or([], None, docker.ask, host, "GET", path, "docker", None, 30)


def docker_info(host: Host) -> Docker:
    info = ask_engine(host, "/info")
    if info is None:
        return {}
    return {"version": info.get("ServerVersion", ""), "root": info.get("DockerRootDir", "/var/lib/docker")}


def containers(host: Host, ended: bool = False) -> dict[str, Container] | None:
    """Return the containers of the app's processes by name; None if Docker fails. `ended`: include exited ones."""
    listed = ask_engine(host, docker.path_with_filter(f"/containers/json?all={int(ended)}", "label", strangers.LABEL))
    return None if listed is None else ours(host, listed)


def ours(host: Host, listed: Sequence[Any]) -> dict[str, Container]:
    """Return the containers of the app's processes by name, of those that the engine has listed."""
    names = {"/" + host.container(role, slot) for role in host.in_slots() for slot in "ab"}
    names |= {"/" + host.container(role) for role in {*host.alone(), "beat"}}  # beat may run although its unit is gone
    return {
        name[1:]: (container["Id"], container["Labels"][strangers.LABEL], container.get("Created", 0))
        for container in listed
        for name in container["Names"] or ()
        if name in names and strangers.LABEL in (container["Labels"] or {}) and container["State"] != "created"
    }


def running_facts(host: Host, health: bool) -> Running:
    problems: list[str] = []
    live = value_or(problems, None, slots.live, host)
    if live is None:
        return {"live": None, "slots": {}, "alone": {}, "lock": None, "problems": problems}
    held = {slot: value_or(problems, None, slots.release_in, host, slot) for slot in host.pinned()}
    alone = {role: host.unit(role) for role in host.alone()}
    states = host.states(*slots.units(host, "a"), *slots.units(host, "b"), *alone.values(), host.lock)
    by_slot = {slot: slot_facts(host, slot, held[slot], states, health) for slot in "ab"}
    return {
        "live": live,
        "slots": by_slot,
        "alone": {role: {**unit_facts(states[unit]), "release": held[role]} for role, unit in alone.items()},
        "problems": problems,
        "lock": lock_holder(states[host.lock]),
    }


def slot_facts(
    host: Host, slot: str, release: Release | None, states: dict[str, Properties], health: bool
) -> SlotFacts:
    units = {role: unit_facts(states.get(host.unit(role, slot), {})) for role in host.in_slots()}
    web = units.get("web")
    worker = units.get("worker")
    if health and release and web and web["state"] == "active":
        web["health"] = str(http.readiness_problem(host.slot(slot, "web.sock"), release["tag"]) or "ready")
    if health and worker and worker["state"] == "active":
        worker["health"] = slots.worker_state(host, slot)[0] or "not ready"
    return {"release": release, "units": units}


def failed_tasks(host: Host, live: str, tag: Release | None) -> list[str]:
    """Return lines about Celery's tasks: which the live release, `tag`, has failed since its deploy, how many are dead.
    Its web knows, also of other hosts' workers."""
    name = tag["tag"] if tag else ""
    since = value_or([], None, lambda: errors.release_times(host, name)[1])
    variables = celery.debug_vars(host, live)
    try:
        ends = {
            key[:-7]: numbers[3].get(name, 0)
            for key, numbers in variables["counts"].get("tasks", {}).items()
            if key.endswith(" failed") and len(numbers) > 3
        }  # an earlier release did not tell whose they were
        failed = sorted(key for key, last in ends.items() if last and last >= (since or 0))
        dead = int(variables["celery"]["dead"] or 0)
    except Exception:  # it may say anything, and nothing without Celery
        return []
    return [
        *(["tasks failed since this release (see slipway errors): " + ", ".join(failed)[:1000]] if failed else ()),
        *([f"{dead} tasks are dead: see slipway run manage dead_tasks"] if dead else ()),
    ]


def unit_facts(state: Properties) -> UnitFacts:
    return {
        "state": state.get("ActiveState"),
        "restarts": state.get("NRestarts"),
        "since": state.get("StateChangeTimestamp"),
    }


def settings_problems(host: Host) -> list[str]:
    """Return what is wrong in APP.env (live settings) and APP.env.next (the next deploy's), without showing a value."""
    missing = [] if os.path.exists(host.env) else [f"there is no {host.env}: run slipway provision"]
    return missing + [
        problem for path in (host.env, host.next_env) for problem in envfile.read(disk.read_bytes(path) or b"", path)[1]
    ]


def nginx_front(host: Host) -> Front:
    """Return nginx's scheme (http or https), and the next deploy's SITE_URL without its path; each is "" if unknown."""
    nginx = disk.read(f"{host.root}/etc/nginx/sites-available/{host.app}") or ""
    parts = site.site_of(host, next_settings(host))
    return {
        "scheme": (re.findall(r"~\^private:\s+(https?);", nginx) or [""])[0],
        "url": "://".join(parts) if parts else "",
    }


def next_settings(host: Host) -> bytes | None:
    """Return the settings that the next deploy uses: APP.env.next, else APP.env; None if both files are missing."""
    staged = disk.read_bytes(host.next_env)
    return disk.read_bytes(host.env) if staged is None else staged


def free_bytes(path: str) -> int:
    try:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
    except OSError:
        return 0


def maintenance_note(host: Host) -> list[str]:
    is_closed = any(map(os.path.exists, host.maintenance))
    return ["visitors get the maintenance page until slipway maintenance off"] if is_closed else []


def first_log_note(host: Host) -> list[str]:
    """Return a line that tells since when the journal has logs; [] if it is unknown."""
    words = "sh", "-c", "journalctl --quiet --no-pager -o short-iso | head -n 1"
    done = value_or([], None, functools.partial(host.call, *words, check=False, timeout=JOURNAL))
    return ["slipway logs and slipway errors go back to " + done.stdout[:10]] if done and done.stdout else []


def last_lines(host: Host, name: str, since: float, until: float) -> LogLines:
    """Return a container's last 50 log lines from `since` to `until` (epoch seconds), without requests for /readyz."""
    done = host.call(
        "journalctl",
        "-t",
        name,
        "-r",
        "-n",
        "2000",
        "-o",
        "cat",
        "--no-pager",
        "--since",
        f"@{since:.3f}",
        "--until",
        f"@{until:.3f}",
        timeout=JOURNAL,
    )  # -r: Debian 12's -n needs it
    return {"log": [line for line in lines_of(done.stdout.strip()) if "GET /readyz" not in line][:50][::-1]}
