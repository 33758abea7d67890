#!/usr/bin/env python3
"""`consul-hosts APP` copies Consul's list of web hosts to a balancer at each change; `consul-hosts APP again` only
applies drains. consul-hosts@APP.service runs this program, /usr/local/bin/consul-hosts (0755). Python 3.9 is enough."""

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
LINE = re.compile(r"^server (\S+) [^;]*; # (\S+) (passing|failing)$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class Web(NamedTuple):
    """A web host. `address`: with a port, as nginx writes it. `passes`: True if Consul reports the host ready."""

    address: str
    name: str
    passes: bool = True


def web_of(entry: Any) -> Web:
    """Turn an entry of Consul's list into a Web. Raise ValueError if its address, name or port is invalid."""
    node, service, checks = entry["Node"], entry["Service"], entry["Checks"]
    name, port = (service.get("Meta") or {}).get("host") or node["Node"], service["Port"]
    text = str(service["Address"] or node["Address"])
    address = ipaddress.ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    if "%" in text or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} cannot be a host's address")
    if not NAME.fullmatch(name) or type(port) is not int or not 0 < port < 65536:
        raise ValueError(f"invalid name {name!r} or port {port!r}")
    asked = any(check.get("ServiceID") for check in checks)
    return Web(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}", name,
               asked and not any(check["Status"] == "critical" for check in checks))


def merged(known: Sequence[Web], found: Iterable[Web]) -> list[Web]:
    """Return the hosts of `found` that are ready or already in `known`.
    If the ready ones are fewer than half of `known`, return `known`: something that all hosts need may be down."""
    there = {web.address for web in known}
    webs = sorted({web for web in found if web.passes or web.address in there})
    return webs if 2 * sum(web.passes for web in webs) >= max(len(known), 1) else [*known]


def servers(address: str, used: bool, comment: str = "") -> str:
    """Return nginx's lines for a host. One that fails twice is passed over for 10 s, as each visitor would wait for one
    without power. But if no other host is left, it is asked nevertheless, as a backup: it may be up again."""
    if not used:
        return f"server {address} max_fails=2 fail_timeout=10s down;{comment}\n"
    return f"server {address} max_fails=2 fail_timeout=10s;{comment}\nserver {address} max_fails=0 backup;\n"


def listed(webs: Iterable[Web], drained: Collection[str] = ()) -> str:
    """Return the text of the balancer's hosts.conf; "" if no host would get visitors."""
    rows = [(web, web.passes and web.name not in drained) for web in webs]
    return "".join(servers(web.address, used, f" # {web.name} {'passing' if web.passes else 'failing'}")
                   for web, used in rows) if any(used for _, used in rows) else ""


def ask(app: str, index: int) -> tuple[int, list[Web]]:
    """Wait up to 60 s until Consul's list is newer than `index`; return (new index, web hosts)."""
    address = os.environ.get("CONSUL_HTTP_ADDR") or "127.0.0.1:8500"
    url = f"{address if '://' in address else f'http://{address}'}/v1/health/service/{app}?index={index}&wait=60s"
    request = urllib.request.Request(url, headers={"X-Consul-Token": os.environ.get("CONSUL_HTTP_TOKEN", "")})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=70) as answer:
        now, entries = int(answer.headers["X-Consul-Index"] or 0), json.load(answer)
    return now if now >= index else 0, [*valid(entries)]


def valid(entries: Iterable[Any]) -> Iterator[Web]:
    for entry in entries:
        try:
            yield web_of(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"ignored a host that Consul names: {error}", flush=True)


def update(app: str, found: Sequence[Web] | None = None) -> None:
    """Update hosts.conf with drains and the hosts `found` in Consul. If `found` is None, keep the hosts."""
    path, drained = NGINX / f"{app}-balancer/hosts.conf", NGINX / f"{app}-balancer/drained"
    with open(NGINX / "nginx.conf") as lock:  # lock: a drain may run at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text("utf-8")
        known = [Web(address, name, word == "passing") for address, name, word in LINE.findall(before)]
        text = listed(known if found is None else merged(known, found),
                      drained.read_text("utf-8").split() if drained.exists() else ())
        if text and text != before:
            put(path, text)
            try:
                reload()
            except subprocess.CalledProcessError:
                put(path, before)  # otherwise the next update would see no change, and reload nothing
                raise
            print(", ".join(text.splitlines()), flush=True)


def put(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text, "utf-8")
    path.with_suffix(".new").rename(path)


def reload() -> None:
    subprocess.run(["systemctl", "try-reload-or-restart", "nginx.service"], check=True)


def follow(app: str) -> None:
    index, trouble = 0, ""
    reload()  # an earlier run may have died before its reload
    while True:
        try:
            index, found = ask(app, index)
            update(app, found)
            wrong = "" if found else f"Consul has no hosts of {app}"
        except (OSError, HTTPException, ValueError, TypeError, subprocess.CalledProcessError) as error:
            index, wrong = 0, str(error)
        if wrong not in ("", trouble):
            print(f"the hosts stay unchanged in hosts.conf: {wrong}", flush=True)
        trouble = wrong
        time.sleep(1)


if __name__ == "__main__":
    try:
        update(sys.argv[1]) if sys.argv[2:] == ["again"] else follow(sys.argv[1])
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"consul-hosts: {problem}")
