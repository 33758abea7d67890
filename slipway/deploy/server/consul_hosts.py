#!/usr/bin/env python3
"""consul-hosts APP: keeps the web hosts of APP's balancer as Consul has them. consul-hosts APP again: after a drain.
Goes to /usr/local/bin/consul-hosts (0755); consul-hosts@APP.service runs it. For Python 3.9.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

NGINX = Path("/etc/nginx")
LINE = re.compile(r"^server (\S+) max_fails=2 fail_timeout=10s(?: down)?; # (\S+) (passing|failing)$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class Web(NamedTuple):
    """A web host. `address`: as nginx has it, with the port."""

    address: str
    name: str
    passes: bool = True


def web_of(entry: Any) -> Web:
    """Return Consul's Web; only a name, an address and a port get into nginx's files. Raises ValueError."""
    node, service, checks = entry["Node"], entry["Service"], entry["Checks"]
    name, port = (service.get("Meta") or {}).get("host") or node["Node"], service["Port"]
    text = str(service["Address"] or node["Address"])
    address = ipaddress.ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    if "%" in text or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} is no host's")
    if not NAME.fullmatch(name) or type(port) is not int or not 0 < port < 65536:
        raise ValueError(f"no host has the name {name!r} and the port {port!r}")
    asked = any(check.get("ServiceID") for check in checks)
    return Web(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}", name,
               asked and not any(check["Status"] == "critical" for check in checks))


def merged(known: Sequence[Web], found: Iterable[Web]) -> list[Web]:
    """Return who is known from now on: those found that were known or pass. All stays where less than half would pass,
    as what they share may be down."""
    there = {web.address for web in known}
    webs = sorted({web for web in found if web.passes or web.address in there})
    return webs if 2 * sum(web.passes for web in webs) >= max(len(known), 1) else [*known]


def listed(webs: Iterable[Web], drained: Collection[str] = ()) -> str:
    """The text of hosts.conf; "" where nobody would get visitors."""
    rows = [(web, web.passes and web.name not in drained) for web in webs]
    return "".join(f"server {web.address} max_fails=2 fail_timeout=10s{'' if used else ' down'};"
                   f" # {web.name} {'passing' if web.passes else 'failing'}\n"
                   for web, used in rows) if any(used for _, used in rows) else ""


def ask(app: str, index: int) -> tuple[int, list[Web]]:
    """Return (index, web hosts) once they differ from `index`. Raises OSError, HTTPException, ValueError."""
    address = os.environ.get("CONSUL_HTTP_ADDR") or "127.0.0.1:8500"
    url = f"{address if '://' in address else f'http://{address}'}/v1/health/service/{app}?index={index}&wait=60s"
    request = urllib.request.Request(url, headers={"X-Consul-Token": os.environ.get("CONSUL_HTTP_TOKEN", "")})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=70) as answer:
        now, entries = int(answer.headers["X-Consul-Index"] or 0), json.load(answer)
    return now if now >= index else 0, [*valid(entries)]


def valid(entries: Iterable[Any]) -> Iterator[Web]:
    """The Webs of Consul's answer; of one that is wrong only the log hears."""
    for entry in entries:
        try:
            yield web_of(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"Consul tells of a host that is left out: {error}", flush=True)


def update(app: str, found: Sequence[Web] | None = None) -> None:
    """Bring hosts.conf to what Consul `found`, or to who is drained. Raises OSError, CalledProcessError."""
    path, drained = NGINX / f"{app}-balancer/hosts.conf", NGINX / f"{app}-balancer/drained"
    with open(NGINX / "nginx.conf") as lock:  # a drain and Consul may come at the same moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text("utf-8")
        known = [Web(address, name, word == "passing") for address, name, word in LINE.findall(before)]
        text = listed(known if found is None else merged(known, found),
                      drained.read_text("utf-8").split() if drained.exists() else ())
        if text and text != before:
            path.with_suffix(".new").write_text(text, "utf-8")
            path.with_suffix(".new").rename(path)
            reload()
            print(", ".join(text.splitlines()), flush=True)


def reload() -> None:
    """Have nginx read its files, if it runs. Raises CalledProcessError where it does not take them."""
    subprocess.run(["systemctl", "try-reload-or-restart", "nginx.service"], check=True)


def follow(app: str) -> None:
    """Update for ever, once a second at most. Begins by a reload, as an earlier start may have ended before it."""
    index, trouble = 0, ""
    reload()
    while True:
        try:
            index, found = ask(app, index)
            update(app, found)
            wrong = "" if found else f"Consul knows none of {app}"
        except (OSError, HTTPException, ValueError, TypeError, subprocess.CalledProcessError) as error:
            index, wrong = 0, str(error)
        if wrong not in ("", trouble):
            print(f"the hosts stay as they are: {wrong}", flush=True)
        trouble = wrong
        time.sleep(1)


if __name__ == "__main__":
    try:
        update(sys.argv[1]) if sys.argv[2:] == ["again"] else follow(sys.argv[1])
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"consul-hosts: {problem}")
