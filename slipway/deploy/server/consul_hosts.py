#!/usr/bin/env python3
"""consul-hosts APP: keeps the web hosts of APP's balancer as Consul has them. consul-hosts APP again: after a drain.
Goes to /usr/local/bin/consul-hosts (0755); consul-hosts@APP.service runs it. For Python 3.9.

/etc/nginx/APP-balancer/hosts.conf is what nginx reads, and all that is known while Consul does not answer.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

NGINX = "/etc/nginx"
LINE = re.compile(r"^server (\S+) max_fails=2 fail_timeout=10s(?: down)?; # (\S+) (\w+)$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
MOST = 10_000_000  # bytes of an answer
WAIT = 60  # seconds in which Consul answers though nothing has changed


@dataclass(frozen=True, order=True)
class Web:
    """A web host. `address`: as nginx has it, with the port; `state`: "passing", "failing", "gone", or "resting", which
    is Consul's maintenance."""

    address: str
    name: str
    state: str = "passing"


# ---- decisions ----

def state_of(checks: Iterable[dict[str, Any]]) -> str:
    """The state of a web host by its checks, its machine's included. Consul tells of a service also while its own check
    is not there yet; that one is critical until it has run."""
    checks = [*checks]
    if any(check["CheckID"].startswith(("_service_maintenance:", "_node_maintenance")) for check in checks):
        return "resting"
    asked = any(check.get("ServiceID") for check in checks)
    return "failing" if not asked or any(check["Status"] == "critical" for check in checks) else "passing"


def web_of(entry: dict[str, Any]) -> Web:
    """The Web that Consul tells of. Nothing else than a name, a number and a port gets into nginx's files. Raises
    ValueError."""
    node, service = entry["Node"], entry["Service"]
    name, port = (service.get("Meta") or {}).get("host") or node["Node"], service["Port"]
    text = str(service["Address"] or node["Address"])
    address = ipaddress.ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    if "%" in text or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} is no host's")
    if not NAME.fullmatch(name) or type(port) is not int or not 0 < port < 65536:
        raise ValueError(f"no host has the name {name!r} and the port {port!r}")
    return Web(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}", name, state_of(entry["Checks"]))


def merged(known: Sequence[Web], found: Sequence[Web]) -> list[Web]:
    """What is known from now on: of those that Consul has found, who was known, and who passes. So a new host waits for
    its first release. All that is known stays where Consul has nobody; where it has few that pass, as when its agents
    are started anew, who is missing stays among those that do not."""
    there = {web.address for web in known}
    listed = {web.address: web for web in found if web.address in there or web.state == "passing"}
    if 2 * sum(web.state == "passing" for web in listed.values()) < len(known):
        listed = {web.address: Web(web.address, web.name, "gone") for web in known} | listed if listed else {}
    return sorted(listed.values()) or [*known]


def in_use(webs: Iterable[Web], drained: Collection[str]) -> list[Web]:
    """Who gets visitors: those that pass. Where they are less than half, the checks themselves may be wrong, or what
    all share is down: then all but who rests, so that the last ones are not run over."""
    able = [web for web in webs if web.state != "resting" and web.name not in drained]
    passing = [web for web in able if web.state == "passing"]
    return passing if 2 * len(passing) >= len(able) else able


def listed(webs: Sequence[Web], drained: Collection[str] = ()) -> str:
    """The text of hosts.conf; "" where nobody would get visitors."""
    used = in_use(webs, drained)
    return "".join(f"server {web.address} max_fails=2 fail_timeout=10s{'' if web in used else ' down'};"
                   f" # {web.name} {web.state}\n" for web in webs) if used else ""


def parsed(text: str) -> list[Web]:
    """The Webs of hosts.conf."""
    return [Web(*words) for words in LINE.findall(text)]


def for_nginx(text: str) -> str:
    """hosts.conf without its comments."""
    return re.sub(r" #.*", "", text)


# ---- Consul ----

def ask(app: str, index: int) -> tuple[int, list[Web]]:
    """The web hosts, as soon as they are others than at this index, and theirs. Raises OSError, HTTPException,
    ValueError."""
    address = os.environ.get("CONSUL_HTTP_ADDR") or "127.0.0.1:8500"
    url = f"{address if '://' in address else f'http://{address}'}/v1/health/service/{app}?index={index}&wait={WAIT}s"
    request = urllib.request.Request(url, headers={"X-Consul-Token": os.environ.get("CONSUL_HTTP_TOKEN", "")})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=WAIT + 10) as answer:
        now, entries = int(answer.headers["X-Consul-Index"] or 0), json.loads(answer.read(MOST))
    return now if now >= index else 0, [*valid(entries)]


def valid(entries: Iterable[dict[str, Any]]) -> Iterator[Web]:
    """The Webs of Consul's answer; of one that is wrong only the log hears."""
    for entry in entries:
        try:
            yield web_of(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            say(f"Consul tells of a host that is left out: {error}")


# ---- files ----

@contextmanager
def locked(folder: str) -> Iterator[None]:
    """One at a time changes hosts.conf; TERM waits until that is done."""
    lock = os.open(folder, os.O_RDONLY)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read(path: str) -> str:
    """What a file holds; "" where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def replace(path: str, text: str) -> None:
    """Write a file whole."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)


def reload() -> None:
    """Have nginx read its files, if it runs. Raises CalledProcessError where it does not take them."""
    if subprocess.run(["systemctl", "--quiet", "is-active", "nginx.service"], check=False).returncode == 0:
        subprocess.run(["systemctl", "reload", "nginx.service"], check=True)


def update(app: str, found: Sequence[Web] | None = None) -> None:
    """Bring hosts.conf to what Consul has found, or where that is None to who is drained, and nginx to that. If nginx
    does not take it, all is as it was. Does not end in between. Raises OSError, CalledProcessError."""
    folder = f"{NGINX}/{app}-balancer"
    path = f"{folder}/hosts.conf"
    with locked(folder):
        before = read(path)
        known = parsed(before)
        text = listed(known if found is None else merged(known, found), read(f"{folder}/drained").split())
        if not before and not os.path.lexists(f"{NGINX}/sites-enabled/{app}-balancer"):  # it was taken away
            return
        if not text and found is None:
            raise OSError("nobody would be left for visitors: the list stays as it is")
        if text in ("", before):
            return
        replace(path, text)
        try:
            if for_nginx(text) != for_nginx(before):
                reload()
        except subprocess.CalledProcessError:
            replace(path, before)
            raise
        say(", ".join(text.splitlines()))


def say(text: str) -> None:
    """A line of the log."""
    print(text, flush=True)


def follow(app: str) -> None:
    """Update for ever, at first by what is known. The pause keeps what comes and goes from reloading nginx more than
    once a second."""
    index, trouble = 0, ""
    try:
        update(app)
    except OSError as error:
        say(str(error))
    while True:
        try:
            index, found = ask(app, index)
            update(app, found)
            wrong = "" if found else f"Consul knows none of {app}"
        except (OSError, HTTPException, ValueError, TypeError, subprocess.CalledProcessError) as error:
            index, wrong = 0, str(error)
        if wrong not in ("", trouble):
            say(f"the hosts stay as they are: {wrong}")
        trouble = wrong
        time.sleep(1)


def main(words: Sequence[str]) -> int:
    """The command line."""
    if not words or words[1:] not in ([], ["again"]):
        print("usage: consul-hosts APP [again]", file=sys.stderr)
        return 64
    try:
        follow(words[0]) if len(words) == 1 else update(words[0])
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"consul-hosts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
