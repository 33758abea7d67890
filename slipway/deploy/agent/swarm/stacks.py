"""The stack of an app, as `docker stack deploy` reads it: putting some of its services, and how they are then."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Collection

from ..host import Host, Problem, last
from ..shapes import Any, More
from .store import LEADER, LEADERLESS, ask, quoted

Stack = dict[str, Any]
ID, TAG = "slipway.id", "slipway.tag"  # labels of containers: of which attempt, of which release
BEFORE = ("assigned", "accepted", "preparing", "ready", "starting")  # a container runs
ENDED = ("failed", "rejected", "orphaned")
ONCE = "once"  # the service that runs a command to its end
PASSING = re.compile(LEADERLESS.pattern + "|update out of sequence")
LATE = 10  # seconds that a log may be late
PAUSE = 0.3  # seconds between two looks


# ---- pure ----

def at_once_from(stack: Stack, tasks: list[Any], id: str) -> Stack:
    """The same. Where no more than half of web is of the attempt that goes, that half stops first, as visitors meet it;
    else those that come have to be well before."""
    quick, web = at_once(stack), stack["services"]["web"]
    bad = sum(id_of(task) == id and task.get("DesiredState") == "running" for task in tasks)
    if not 0 < 2 * bad <= web["deploy"]["replicas"]:
        return quick
    rule = dict(quick["services"]["web"]["deploy"]["update_config"], order="stop-first")
    first = dict(quick["services"]["web"], deploy=dict(web["deploy"], update_config=rule))
    return dict(quick, services=dict(quick["services"], web=first))


def part(stack: Stack, name: str) -> Stack:
    """The stack with "web" and its proxy alone, or with the "rest"."""
    return dict(stack, services={each: one for each, one in stack["services"].items()
                                 if (each in ("proxy", "web")) == (name == "web")})


def at_once(stack: Stack) -> Stack:
    """The stack whose services change over without a pause, and never go back: what was before them is what is to
    go."""
    def quick(one: Any) -> Any:
        rule = one["deploy"].get("update_config")
        changed = dict(rule or {}, parallelism=0, delay="0s", failure_action="continue")
        return dict(one, deploy=dict(one["deploy"], update_config=changed)) if rule else one
    return dict(stack, services={name: one if name == "proxy" else quick(one)
                                 for name, one in stack["services"].items()})


def one_off(stack: Stack, words: list[str]) -> Stack:
    """The stack with one service alone, which is like its web and runs a command once."""
    web = stack["services"]["web"]
    kept = {key: value for key, value in web.items() if key not in ("healthcheck", "stop_grace_period")}
    deploy = {key: value for key, value in web["deploy"].items() if key in ("endpoint_mode", "placement", "resources")}
    once = dict(kept, command=words, deploy=dict(deploy, replicas=1, restart_policy={"condition": "none"}))
    return dict(stack, services={ONCE: once})


def id_of(task: Any) -> str:
    """The attempt that a task was made for."""
    return str(((task["Spec"].get("ContainerSpec") or {}).get("Labels") or {}).get(ID, ""))


def arrived(service: Any, tasks: list[Any], id: str) -> bool:
    """Whether all that a service should run is of an attempt, and well."""
    wanted = [task for task in tasks if task.get("DesiredState") == "running"]
    well = [task for task in wanted if id_of(task) == id and state_of(task) == "running"]
    many = (service["Spec"]["Mode"].get("Replicated") or {}).get("Replicas")
    changes = (service.get("UpdateStatus") or {}).get("State") in ("updating", "rollback_started")
    return not changes and len(well) == len(wanted) and (len(well) == many if many is not None else bool(well))


def broken(tasks: list[Any], id: str, seen: Collection[str]) -> Any:
    """A task of an attempt, but for those `seen` before, that has ended; None without one."""
    return next((task for task in tasks if task["ID"] not in seen and id_of(task) == id
                 and state_of(task) in ("complete", *ENDED)), None)


def ids(stack: Stack) -> dict[str, str]:
    """Service → the attempt that its containers are of."""
    return {name: one["labels"][ID] for name, one in stack["services"].items()}


def state_of(task: Any) -> str:
    """How a task is, in Swarm's word."""
    return str(task["Status"]["State"])


def counts(stack: Stack) -> dict[str, int]:
    """Service → how many containers it has; without those of which each host has one."""
    return {name: one["deploy"]["replicas"] for name, one in stack["services"].items() if "replicas" in one["deploy"]}


def waited_for(found: dict[str, list[Any]], nodes: set[str]) -> set[str]:
    """Those of the nodes, which are down, on which a container has not started yet."""
    return {task["NodeID"] for its in found.values() for task in its
            if task.get("NodeID") in nodes and state_of(task) in BEFORE}


def nudged(stack: Stack, number: int) -> Stack:
    """The stack with another label, which no container has. Swarm waits for ever for one to start that it gave to a
    node just before that was lost: its update has to begin anew, and leaves what has changed over already."""
    return dict(stack, services={name: dict(one, deploy=dict(one["deploy"], labels={"slipway.again": str(number)}))
                                 for name, one in stack["services"].items()})


# ---- doing ----

def put(host: Host, stack: Stack) -> None:
    """Have the swarm run these services; it goes on by itself."""
    words = ["deploy", "--with-registry-auth", "--resolve-image", "never", "-c", "-"]
    deadline = time.monotonic() + LEADER
    while True:
        done = host.docker("stack", *words, host.app, timeout=120, check=False,
                           input=json.dumps(stack).replace("$", "$$"))  # or Docker would put variables there
        if not done.returncode:
            return
        if not PASSING.search(done.stderr) or time.monotonic() > deadline:
            raise Problem("docker stack deploy: %s" % last(done.stderr, done.returncode))
        time.sleep(PAUSE)


def services(host: Host) -> dict[str, Any]:
    """Name in the stack → what the swarm says of the service."""
    wanted = quoted({"label": ["com.docker.stack.namespace=" + host.app]})
    found = ask(host, "/services?filters=" + wanted, "docker service ls") or []
    return {one["Spec"]["Name"][len(host.app) + 1:]: one for one in found}


def tasks(host: Host, *names: str) -> dict[str, list[Any]]:
    """Name in the stack → the tasks of that service, none where there is no such service."""
    ids = {one["ID"]: name for name, one in services(host).items() if name in names}
    made: dict[str, list[Any]] = {name: [] for name in names}
    if ids:
        path = "/tasks?filters=" + quoted({"service": sorted(ids)})
        for task in ask(host, path, "docker service ps") or []:
            made[ids[task["ServiceID"]]].append(task)
    return made


def wait(host: Host, stack: Stack, seen: Collection[str] | None, seconds: float) -> None:
    """Wait until all services of the stack run its containers, and those are well. Raises Problem at the first that
    ends, but for those `seen` before (None: whatever ends), and after so many seconds, not counting those in which an
    image is pulled."""
    left_seconds, wanted, before = seconds, ids(stack), time.monotonic()
    lost: set[str] = set()
    while True:
        found, all_tasks = services(host), look(host, wanted, seen)
        left = [name for name, id in wanted.items()
                if name not in found or not arrived(found[name], all_tasks[name], id)]
        if not left:
            return
        now = time.monotonic()
        if gone := waited_for(all_tasks, down(host)) - lost:
            lost |= gone
            put(host, nudged(stack, len(lost)))
        pulls = any(state_of(task) == "preparing" and task.get("DesiredState") == "running"
                    for name in left for task in all_tasks[name])
        left_seconds, before = left_seconds - (0 if pulls else now - before), now
        if left_seconds < 0:
            said = {why(one) for name in left for one in all_tasks[name] if id_of(one) == wanted[name]}
            raise Problem("%s: not ready within %d s: %s" % (
                ", ".join(left), seconds, "; ".join(sorted(said)) or "no container was placed"))
        time.sleep(PAUSE)


def down(host: Host) -> set[str]:
    """The nodes that are out of the swarm's sight."""
    return {node["ID"] for node in ask(host, "/nodes", "docker node ls") or [] if node["Status"]["State"] == "down"}


def look(host: Host, wanted: dict[str, str], seen: Collection[str] | None) -> dict[str, list[Any]]:
    """Name → tasks. `wanted`: name → attempt. Raises Problem for a container of it that has ended, but for those `seen`
    before; None: for no one."""
    found = tasks(host, *wanted)
    for name, its in found.items():
        task = None if seen is None else broken(its, wanted[name], seen)
        if task:
            raise Problem("%s: %s" % (name, why(task)), **log_of(host, task))
    return found


def seen(host: Host) -> set[str]:
    """All tasks that there are."""
    return {task["ID"] for its in tasks(host, *services(host)).values() for task in its}


def why(task: Any) -> str:
    """How a task is, in a line."""
    return ": ".join(filter(None, [state_of(task), str(task["Status"].get("Err", ""))]))


def log_of(host: Host, task: Any) -> More:
    """The last lines of a task."""
    done = host.call("docker", "service", "logs", "--raw", "--tail", "50", task["ID"], check=False, timeout=20)
    return {"log": (done.stdout + done.stderr).strip().splitlines()[-50:]}


def remove(host: Host, names: Collection[str]) -> None:
    """Remove services, those that are there."""
    there = ["%s_%s" % (host.app, name) for name in services(host) if name in names]
    if there:
        host.call("docker", "service", "rm", *there)


def run(host: Host, stack: Stack, words: list[str], seconds: float,
        whole: Callable[[str], bool] = lambda text: True) -> str:
    """Run a command of the stack's release once, somewhere in the swarm; its output, which comes late by other hosts'
    journals: it is read until it is `whole`, for some seconds. Raises Problem where the command fails, or takes longer
    than so many seconds."""
    remove(host, [ONCE])
    put(host, one_off(stack, words))
    try:
        task = ended(host, seconds, " ".join(words))
        done = logged(host, task["ID"])
        deadline = time.monotonic() + LATE
        while state_of(task) == "complete" and not whole(done.stdout) and time.monotonic() < deadline:
            time.sleep(PAUSE)
            done = logged(host, task["ID"])
        if state_of(task) != "complete":
            lines = (done.stdout + done.stderr).strip().splitlines()[-50:]
            raise Problem("%s: %s" % (" ".join(words), why(task)), log=lines)
        return done.stdout
    finally:
        remove(host, [ONCE])


def logged(host: Host, task: str) -> subprocess.CompletedProcess[str]:
    """What a task has said so far."""
    return host.call("docker", "service", "logs", "--raw", task, timeout=60)


def ended(host: Host, seconds: float, what: str) -> Any:
    """The task of the one-off, once it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        found = tasks(host, ONCE)[ONCE]
        if any(state_of(task) == "preparing" for task in found):  # it pulls
            deadline = time.monotonic() + seconds
        over = [task for task in found if state_of(task) in ("complete", *ENDED)]
        if over:
            return over[0]
        if time.monotonic() > deadline:
            said = "; ".join(why(task) for task in found) or "it was placed nowhere"
            raise Problem("%s did not end within %d s: %s" % (what, seconds, said))
        time.sleep(PAUSE)
