"""What there is of an app in the swarm, and what this host's visitors are answered."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable

from .. import http, site
from ..answers import Gate, Node, Service, Settings, SwarmFacts
from ..host import Host, wait_until
from ..shapes import Any
from ..visitors import Visitors
from . import stacks, store

NOT_FACTS = ("stack", "plan")  # of a record: only this agent goes by them
PROXY = 15  # seconds until the proxy knows the containers
gates: dict[str, Visitors] = {}


def facts(host: Host) -> SwarmFacts:
    """All that a deploy or status needs to know of the app. Raises Problem where this node manages no swarm."""
    here, found = store.node(host), store.records(host)
    live, staged, holder = store.live(found), store.staged(host), store.held(host)
    settings = staged or (str(live["settings"]) if live else "")
    content = store.settings(host, settings)
    return {"node": str(here["NodeID"]), "arch": os.uname().machine, "nodes": nodes(host),
            "services": services(host), "settings": settings, "staged": bool(staged),
            "files": sorted(set(re.findall(r"/run/secrets/([\w.-]+)", content.decode(errors="replace")))),
            "site": list(site.of(host, content) or ("http", "localhost")),
            "records": [{key: value for key, value in record.items() if key not in NOT_FACTS}  # type: ignore[misc]
                        for record in found],
            "expected": stacks.ids(live["stack"]) if live else {},
            "counts": stacks.counts(live["stack"]) if live else {},
            "lock": str(holder.get("who", "somebody")) if holder else None,
            "holder": str((holder or {}).get("node", "")), "attempt": str((holder or {}).get("id", ""))}


def smoke(host: Host, paths: list[str], asked: list[str]) -> None:
    """Ask for paths, as a visitor of this host, once its proxy passes visitors on: one that has just started has to
    hear of the containers first. Raises the Problem of the first whose answer is an error."""
    to = asked[0], asked[1]
    wait_until(lambda: http.ask(host.nginx_sock, "/readyz", to)[0] == 200, PROXY)
    http.smoke(host.nginx_sock, paths, to)


def read_settings(host: Host) -> Settings:
    """The settings that are live, and those that are staged."""
    store.node(host)
    live, staged = store.live(store.records(host)), store.staged(host)
    current = store.settings(host, live["settings"]) if live else b""
    return {"settings": base64.b64encode(current).decode(),
            "staged": base64.b64encode(store.settings(host, staged)).decode() if staged else None}


def nodes(host: Host) -> list[Node]:
    """The swarm's machines."""
    return [{"id": str(one["ID"]), "name": str((one.get("Description") or {}).get("Hostname") or one["ID"]),
             "state": str(one["Status"]["State"]),
             "manager": one["Spec"]["Role"] == "manager", "availability": str(one["Spec"]["Availability"]),
             "labels": [str(label) for label in one["Spec"].get("Labels") or {}]}
            for one in store.ask(host, "/nodes", "docker node ls") or []]


def services(host: Host) -> dict[str, Service]:
    """Name → how a service of the app is."""
    found = stacks.services(host)
    tasks = stacks.tasks(host, *found)
    return {name: service(one, tasks[name]) for name, one in sorted(found.items())}


def service(one: Any, tasks: list[Any]) -> Service:
    """How it is. `tags`: of the containers that run; `wrong`: why others do not."""
    wanted = [task for task in tasks if task.get("DesiredState") == "running"]
    well = [task for task in wanted if stacks.state_of(task) == "running"]
    labels = [(task["Spec"].get("ContainerSpec") or {}).get("Labels") or {} for task in well]
    many = (one["Spec"]["Mode"].get("Replicated") or {}).get("Replicas", len(wanted))
    return {"wanted": int(many), "running": len(well),
            "tags": sorted({str(each.get(stacks.TAG, "-")) for each in labels}),
            "ids": sorted({str(each.get(stacks.ID, "-")) for each in labels}),
            "wrong": sorted({stacks.why(task) for task in wanted if task not in well}),
            "update": str((one.get("UpdateStatus") or {}).get("State", ""))}


def gate(host: Host, max_errors: float) -> Gate:
    """What is wrong with the answers to this host's visitors since the first such question, "" where nothing is."""
    visitors = gates.get(host.app) or gates.setdefault(host.app, Visitors(host))
    problem = visitors.blind() or visitors.problem(max_errors)
    answers, errors = visitors.counts()
    return {"problem": problem, "answers": answers, "errors": errors}


QUESTIONS: dict[str, Callable[..., object]] = {
    "swarm_facts": facts, "swarm_read_settings": read_settings, "gate": gate, "smoke": smoke}
