"""What is on this host. Nothing here changes it."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence

from . import disk, envfile, http, memory, releases, site, slots, sqlite, visitors
from .answers import Committed, Docker, Facts, Front, Running, Said, SlotFacts, UnitFacts
from .host import Host, Problem, at_once, lock_holder
from .shapes import Any, Container, Properties, Record, Release, T
from .steps.migrate import ATTEMPT

JOURNAL = 5  # seconds that the journal is waited for
LABELLED = "%7B%22label%22:%5B%22docker-runner.image%22%5D%7D"  # {"label":["docker-runner.image"]}


def collect(host: Host, paths: Sequence[str] = (), health: bool = False, tag: str = "", history: bool = True,
            blind: bool = False) -> Facts:
    """Return all that a plan or status needs. `paths`: files to hash; `tag`: one to give all records of; `history`:
    also the last records; `health`, `blind`: also ask how it does, and why visitors' answers cannot be seen."""
    runs: Running
    docker, up, by_hand, version, runs = at_once([
        lambda: docker_info(host), lambda: containers(host) or {}, lambda: one_offs(host), lambda: systemd(host),
        lambda: running(host, health)])
    kept = committed(host, tag, 100 if history else 0)
    folders = (docker.get("root", "/"), "/var/www/" + host.app, "/run", "/var/log")
    return {**kept, **runs, **memory.for_slots(host, up, runs["live"]),
            "problems": [*kept["problems"], *runs["problems"]],
            "python": list(sys.version_info[:2]), "arch": os.uname().machine, "files": digests(host, paths),
            "systemd": version, "docker": docker, "containers": up, "one_offs": by_hand,
            "settings": settings_problems(host), "site": front(host),
            "blind": visitors.Visitors(host).blind() if blind and host.has("web") else "",
            "sqlite": sqlite.problem(host, coming(host)), "staged": os.path.exists(host.next_env),
            "now": time.time(), "free": {path: free(host.root + path) for path in folders}}


def committed(host: Host, tag: str, last: int = 100) -> Committed:
    """What is written down of releases; of the log the `last` records, and those of `tag` and REVERT."""
    problems: list[str] = []
    nothing: tuple[list[Record], int] = [], 0
    records, torn = readable(problems, nothing, releases.read_log, host)
    revert = readable(problems, None, releases.read_tag, host.revert)
    wanted, left = {tag, revert and revert["tag"]}, readable(problems, None, releases.read_attempt, host)
    return {"tag": readable(problems, None, releases.read_tag, host.tag), "revert": revert, "torn": torn,
            "records": records[-last:] if last else [],
            "known": [record for record in records if record["tag"] in wanted][-100:],
            "attempt": {"tag": left["tag"]} if left else None, "problems": problems}


def readable(problems: list[str], other: T, function: Callable[..., T], *words: Any) -> T:
    """What the function returns, or `other`, and one problem more, where it raises Problem or OSError."""
    try:
        return function(*words)
    except Problem as problem:
        problems.append(str(problem))
    except OSError as error:
        problems.append("%s: %s" % (error.filename, error.strerror))
    return other


def ask_engine(host: Host, path: str) -> Any:
    """What Docker's engine answers, parsed; None when it does not. The docker command takes ten times as long."""
    status, body = http.ask(host.docker_sock, path, timeout=30)
    return json.loads(body) if status == 200 else None


def docker_info(host: Host) -> Docker:
    """What Docker says of itself; {} when it does not answer."""
    info = ask_engine(host, "/info")
    if info is None:
        return {}
    return {"version": info.get("ServerVersion", ""), "root": info.get("DockerRootDir", "/var/lib/docker")}


def containers(host: Host, ended: bool = False) -> dict[str, Container] | None:
    """name → (id, image id, creation) of the app's containers, `ended` ones too; None if the engine is silent."""
    found = ask_engine(host, "/containers/json?all=%d&filters=%s" % (ended, LABELLED))
    if found is None:
        return None
    ours = {"/" + host.container(role, slot) for role in host.in_slots() for slot in "ab"}
    ours |= {"/" + host.container(role) for role in {*host.alone(), "beat"}}  # beat also where its unit has gone
    return {name[1:]: (one["Id"], one["Labels"]["docker-runner.image"], one.get("Created", 0)) for one in found
            for name in one["Names"] or () if name in ours and one["State"] != "created"}


def one_offs(host: Host) -> dict[str, str]:
    """name → since when, of containers on migrations that somebody has started by hand."""
    names = {"/%s-%s" % (host.app, command) for command in ("migrate", "manage-migrate", "manage-showmigrations")}
    return {name[1:]: time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(found["Created"]))
            for found in ask_engine(host, "/containers/json") or () for name in names.intersection(found["Names"] or ())
            if ATTEMPT not in (found["Labels"] or {})}


def running(host: Host, health: bool) -> Running:
    """What runs in the slots, what runs alone, and who holds the lock."""
    problems: list[str] = []
    live = readable(problems, None, slots.live, host)
    if live is None:
        return {"live": None, "slots": {}, "alone": {}, "lock": None, "problems": problems}
    held = {slot: readable(problems, None, slots.release_in, host, slot) for slot in host.pinned()}
    alone = {role: host.unit(role) for role in host.alone()}
    states = host.states(*slots.units(host, "a"), *slots.units(host, "b"), *alone.values(), host.lock)
    found = {slot: slot_facts(host, slot, held[slot], states, health) for slot in "ab"}
    return {"live": live, "slots": found,
            "alone": {role: {**unit_facts(states[unit]), "release": held[role]} for role, unit in alone.items()},
            "problems": problems, "lock": lock_holder(states[host.lock])}


def slot_facts(host: Host, slot: str, release: Release | None, states: dict[str, Properties],
               health: bool) -> SlotFacts:
    """What a slot runs; with `health` also how that does."""
    units = {role: unit_facts(states.get(host.unit(role, slot), {})) for role in host.in_slots()}
    web, worker = units.get("web"), units.get("worker")
    if health and release and web and web["state"] == "active":
        web["health"] = str(http.not_ready(host.slot(slot, "web.sock"), release["tag"]) or "ready")
    if health and worker and worker["state"] == "active":
        worker["health"] = slots.worker_state(host, slot)[0] or "not ready"
    return {"release": release, "units": units}


def unit_facts(state: Properties) -> UnitFacts:
    """What systemd says of a unit."""
    return {"state": state.get("ActiveState"), "restarts": state.get("NRestarts"),
            "since": state.get("ActiveEnterTimestamp")}


def digests(host: Host, paths: Sequence[str]) -> dict[str, str]:
    """path → sha256 of the file, "" where there is none."""
    import hashlib  # only here: it takes long to load
    found = {path: disk.read_bytes(host.root + path) for path in paths}
    return {path: "" if content is None else hashlib.sha256(content).hexdigest() for path, content in found.items()}


def settings_problems(host: Host) -> list[str]:
    """What is wrong with the settings, live and staged; no value is told."""
    missing = [] if os.path.exists(host.env) else ["there is no %s: run make provision" % host.env]
    return missing + [problem for path in (host.env, host.next_env)
                      for problem in envfile.read(disk.read_bytes(path) or b"", path)[1]]


def front(host: Host) -> Front:
    """Return nginx's scheme, and scheme and host of the SITE_URL that comes; "" for what cannot be told."""
    nginx = disk.read("%s/etc/nginx/sites-available/%s" % (host.root, host.app)) or ""
    found = site.of(host, coming(host))
    return {"scheme": (re.findall(r"~\^private:\s+(https?);", nginx) or [""])[0],
            "url": "://".join(found) if found else ""}


def coming(host: Host) -> bytes | None:
    """The settings that the next deploy makes live."""
    staged = disk.read_bytes(host.next_env)
    return disk.read_bytes(host.env) if staged is None else staged


def systemd(host: Host) -> int:
    """The version of systemd; 0 where it does not say."""
    done = host.systemctl("--version", check=False)
    return int((re.match(r"systemd (\d+)", done.stdout) or [0, 0])[1])


def free(path: str) -> int:
    """Bytes that are free there; 0 where that cannot be told."""
    try:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
    except OSError:
        return 0


def last_lines(host: Host, name: str, since: float) -> Said:
    """The last 50 lines that a container logged since that time, in seconds since the epoch."""
    done = host.call("timeout", str(JOURNAL), "journalctl", "-t", name, "-n", "50", "-o", "cat", "--no-pager",
                     "--since", "@%d" % since, check=False)
    if done.returncode == 124:
        return {"log": ["(no answer of journalctl within %d s; later: make logs)" % JOURNAL]}
    return {"log": done.stdout.strip().splitlines() if done.returncode == 0 else []}
