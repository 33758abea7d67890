"""What becomes of a deploy to a swarm that has ended, by the swarm's own word: it was committed, or all goes back."""

from __future__ import annotations

import json
import time

from .. import disk
from ..host import Host, Problem
from ..releases import parse_object
from ..shapes import Any, Say
from . import stacks, store

READY = 300  # seconds that the old release's containers may take


def file(host: Host) -> str:
    """Where this host's agent notes what it does."""
    return host.run + "/swarm"


def note(host: Host, noted: dict[str, Any]) -> None:
    """Write down what is done here, for `settle` to record."""
    disk.write(file(host), json.dumps(noted), 0o600)


def noted(host: Host) -> dict[str, Any] | None:
    """What was noted here; None without a deploy."""
    return parse_object(disk.read(file(host)) or "")


def note_cause(host: Host, cause: str) -> None:
    """Write down why a deploy is given up, where there is one."""
    there = noted(host)
    if there:
        note(host, dict(there, cause=cause))


def settle_here(host: Host, say: Say) -> None:
    """End this host's own deploy, if there was one. Whatever is then still wrong, the next one settles."""
    mine = noted(host)
    if mine is None:
        return
    try:
        if store.ours(host, mine.get("id")):
            settle(host, say)
        disk.remove(file(host))
    except Exception as error:  # whatever it is, it must be told
        say({"event": "takeback", "step": "settle", "state": "failed", "problem": str(error) or repr(error)})


def proxy_of(stack: stacks.Stack) -> str:
    """The name of the config that a stack's proxy reads."""
    return str(stack["configs"]["proxy"]["name"])


def anew(stack: stacks.Stack, id: str) -> stacks.Stack:
    """The stack for another attempt: so its containers can be told from those of the attempt before."""
    services = {name: one if name == "proxy" else dict(one, labels=dict(one["labels"], **{stacks.ID: id}))
                for name, one in stack["services"].items()}
    return dict(stack, services=services)


def settle(host: Host, say: Say, wait: bool = True) -> None:
    """End the deploy that has the lock, which nobody works at any more. `wait`: until what was live is well again."""
    holder, mine = store.held(host), noted(host) or {}
    if holder is None:
        return
    found = store.records(host)
    if not any(record.get("id") == holder.get("id") and record["outcome"] == "committed" for record in found):
        take_back(host, holder, mine if mine.get("id") == holder.get("id") else {}, found, say, wait)
    finish(host, holder.get("id"))


def take_back(host: Host, holder: dict[str, Any], mine: dict[str, Any], found: list[dict[str, Any]], say: Say,
              wait: bool) -> None:
    """Have the swarm run what was live, and write down that it is to. That it does not get well keeps nobody from the
    next deploy."""
    live = store.live(found)
    stacks.remove(host, [stacks.ONCE])
    if live:
        web = stacks.tasks(host, "web")["web"]
        stacks.put(host, stacks.at_once_from(live["stack"], web, str(holder.get("id"))))
        stacks.remove(host, stacks.services(host).keys() - live["stack"]["services"].keys())
        try:
            stacks.wait(host, live["stack"], None, READY if wait else 0)
            say({"event": "takeback", "step": "update", "state": "done"})
        except Problem as problem:
            if wait:
                say({"event": "takeback", "step": "update", "state": "failed", "problem": str(problem)})
    else:
        stacks.remove(host, [name for name, one in stacks.services(host).items()
                             if name == "proxy" or stacks.id_of({"Spec": one["Spec"]["TaskTemplate"]}) == holder["id"]])
    cause = mine.get("cause") or "its deployer, or the host that it worked through, was lost"
    seconds = round(time.time() - holder.get("began", time.time()), 3)
    store.append(host, {**{key: value for key, value in holder.items() if key != "node"}, "image_id": "",
                        "cause": cause, "outcome": "taken back", "seconds": seconds})


def finish(host: Host, id: object) -> None:
    """Remove what nothing needs any more, and give back the lock of an attempt."""
    if not store.ours(host, id):
        return
    found = store.records(host)
    live = store.live(found)
    if live:
        stacks.remove(host, stacks.services(host).keys() - live["stack"]["services"].keys())
        if store.staged(host) == live["settings"]:
            store.unstage(host)
    drop_objects(host, found)
    store.unlock(host)
    disk.remove(file(host))


def drop_objects(host: Host, found: list[dict[str, Any]]) -> None:
    """Remove settings, secrets and proxies' configs that no record and nothing staged names."""
    text = json.dumps([record.get("stack") for record in found]) + store.staged(host)
    text += "".join(store.settings(host, store.staged(host)).decode(errors="replace").split("/run/secrets/")[1:])
    for sort, kind in (("secrets", "settings"), ("configs", "settings"), ("configs", "proxy"), ("secrets", "file")):
        for one in store.objects(host, sort, kind):
            name = one["Spec"]["Name"]
            if name not in text and name.rpartition(".file.")[2] not in text:
                store.remove(host, sort, name)
