#!/usr/bin/env python3
"""`balancer-hosts APP` keeps a balancer's list of web hosts: it asks each host itself if it is ready, or Consul;
`balancer-hosts APP again` only applies drains. balancer-hosts@APP.service runs this program,
/usr/local/bin/balancer-hosts (0755). Python 3.9 is enough."""

from __future__ import annotations

import fcntl
import http.client
import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

NGINX = Path("/etc/nginx")
LINE = re.compile(r"^server (\S+) [^;]*; # (\S+) (passing|failing|foreign)$", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


PASSING, FAILING, FOREIGN = "passing", "failing", "foreign"
AGENT = "slipway-deploy"  # in nginx's log this marks requests that are no visitor's
FAILURES = 3  # checks in a row that must fail until a host is FAILING
LIMIT = 3  # seconds for a whole check: /readyz answers within 2 s
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
BUSY = (429, 500, 502, 503, 504)  # answers of our site that is not ready


class Web(NamedTuple):
    """A web host. `address`: with a port, as nginx writes it. `state`: PASSING if the host is ready; FOREIGN if it
    answers as another site does, such as that of a machine which is not provisioned yet; else FAILING."""

    address: str
    name: str
    state: str = PASSING


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
    passes = asked and not any(check["Status"] == "critical" for check in checks)
    return Web(
        f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}", name, PASSING if passes else FAILING
    )


def merged(current: Sequence[Web], candidates: Iterable[Web]) -> list[Web]:
    """Return the hosts of `candidates` that are ready or already in `current`.
    If the ready ones are fewer than half of `current`, return `current`: something that all hosts need may be down."""
    addresses = {web.address for web in current}
    webs = sorted({web for web in candidates if web.state == PASSING or web.address in addresses})
    ready = [web for web in webs if web.state == PASSING]
    return webs if 2 * len(ready) >= max(len(current), 1) else [*current]


def servers(web: Web, drained: bool = False) -> str:
    """Return nginx's lines for a host. One that fails twice is passed over for 10 s, as each visitor would wait for one
    without power. But if no other host is left, it is asked nevertheless, as a backup: it may be up again."""
    usual, comment = f"server {web.address} max_fails=2 fail_timeout=10s", f"# {web.name} {web.state}"
    if drained or web.state == FOREIGN:
        return f"{usual} down; {comment}\n"
    if web.state == FAILING:
        return f"server {web.address} max_fails=0 backup; {comment}\n"
    return f"{usual}; {comment}\nserver {web.address} max_fails=0 backup;\n"


def listed(webs: Sequence[Web], drained: Collection[str] = ()) -> str:
    """Return the text of the balancer's hosts.conf; "" if no host would get visitors."""
    if not any(web.state == PASSING and web.name not in drained for web in webs):
        return ""
    return "".join(servers(web, web.name in drained) for web in webs)


class Checks:
    """The balancer's own checks of web hosts, each with a GET of /readyz as for `name`, a name of the site.
    `addresses`: host name → its address with a port. A host is FAILING after FAILURES failed checks in a row. Each host
    has a thread: none waits for another."""

    def __init__(self, name: str, addresses: Mapping[str, str]) -> None:
        self.name, self.addresses, self.failures = name, addresses, dict.fromkeys(addresses, FAILURES)
        self.webs = {host: Web(address, host, FAILING) for host, address in addresses.items()}
        self.unchecked = {*addresses}
        self.over = threading.Event()

    def start(self) -> None:
        """Check each host each second from now on. Return once all were checked, or the limit of a check is over."""
        for host in self.addresses:
            threading.Thread(target=self.repeat, args=(host,), daemon=True).start()
        end = time.monotonic() + LIMIT + 1
        while self.unchecked and time.monotonic() < end:
            time.sleep(0.05)

    def repeat(self, host: str) -> None:
        while not self.over.is_set():
            self.webs[host] = self.web(host)
            self.unchecked.discard(host)
            self.over.wait(1)

    def all(self) -> list[Web]:
        return [self.webs[host] for host in self.addresses]

    def web(self, host: str) -> Web:
        state = self.state(self.addresses[host])
        if state == FAILING:
            self.failures[host] += 1
        else:
            self.failures[host] = 0 if state == PASSING else FAILURES
        if state == FAILING and self.failures[host] < FAILURES:
            state = PASSING
        return Web(self.addresses[host], host, state)

    def state(self, address: str) -> str:
        try:
            status = status_of(address, self.name or address)
        except (OSError, ValueError):
            return FAILING
        if status == 200:
            return PASSING
        return FAILING if status in BUSY else FOREIGN


def status_of(address: str, name: str) -> int:
    """Return the status of /readyz. Raise OSError or ValueError without one within LIMIT seconds, however few bytes a
    second come."""
    end = time.monotonic() + LIMIT
    host, _, port = address.rpartition(":")
    request = f"GET /readyz HTTP/1.0\r\nHost: {name}\r\nUser-Agent: {AGENT}\r\n\r\n"
    said = b""
    with socket.create_connection((host.strip("[]"), int(port)), LIMIT) as connection:
        connection.sendall(request.encode())
        while not (match := STATUS.match(said)):
            connection.settimeout(max(0.001, end - time.monotonic()))
            piece = connection.recv(1024)
            if not piece or len(said) > 1024:
                raise ValueError(f"{address} gives no status")
            said += piece
    return int(match[1])


def ask(app: str, index: int) -> tuple[int, list[Web]]:
    """Wait up to 60 s until Consul's list is newer than `index`; return (new index, web hosts)."""
    address = os.environ.get("CONSUL_HTTP_ADDR") or "127.0.0.1:8500"
    url = f"{address if '://' in address else f'http://{address}'}/v1/health/service/{app}?index={index}&wait=60s"
    headers = {"X-Consul-Token": os.environ.get("CONSUL_HTTP_TOKEN", "")}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the operator's URL
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=70) as answer:
        now, entries = int(answer.headers["X-Consul-Index"] or 0), json.load(answer)
    return now if now >= index else 0, [*valid(entries)]


def valid(entries: Iterable[Any]) -> Iterator[Web]:
    for entry in entries:
        try:
            yield web_of(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"ignored a host that Consul names: {error}", flush=True)


def update(app: str, candidates: Sequence[Web] | None = None, forget: bool = False) -> None:
    """Update hosts.conf with drains and the hosts `candidates`. If `candidates` is None, keep the hosts. `forget`:
    drop those that `candidates` lacks, even if most of the rest are not ready."""
    path, drained = NGINX / f"{app}-balancer/hosts.conf", NGINX / f"{app}-balancer/drained"
    with open(NGINX / "nginx.conf") as lock:  # lock: a drain may run at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text("utf-8")
        current = [Web(*words) for words in LINE.findall(before)]
        if candidates and forget:
            addresses = {web.address for web in candidates}
            current = [web for web in current if web.address in addresses]
        text = listed(
            current if candidates is None else merged(current, candidates),
            drained.read_text("utf-8").split() if drained.exists() else (),
        )
        if text and text != before:
            put(path, text)
            try:
                reload()
            except subprocess.CalledProcessError:
                put(path, before)  # otherwise the next update would see no change, and reload nothing
                raise
            print(", ".join(text.strip().split("\n")), flush=True)


def put(path: Path, text: str) -> None:
    """Replace the file. Sync it and its folder: after a power cut nginx must not find half a list, or none."""
    new = path.with_suffix(".new")
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def reload() -> None:
    subprocess.run(["systemctl", "try-reload-or-restart", "nginx.service"], check=True)


def follow(app: str) -> None:
    index, trouble, own = 0, "", NGINX / f"{app}-balancer/checks.json"
    checks = Checks(**json.loads(own.read_text("utf-8"))) if own.exists() else None
    reload()  # an earlier run may have died before its reload
    if checks:
        checks.start()
    while True:
        try:
            if checks:
                webs = checks.all()
            else:
                index, webs = ask(app, index)
            update(app, webs, forget=bool(checks))
            wrong = "" if webs else f"Consul has no hosts of {app}"
        except (OSError, http.client.HTTPException, ValueError, TypeError, subprocess.CalledProcessError) as error:
            index, wrong = 0, str(error)
        if wrong not in ("", trouble):
            print(f"the hosts stay unchanged in hosts.conf: {wrong}", flush=True)
        trouble = wrong
        time.sleep(1)


if __name__ == "__main__":
    try:
        if sys.argv[2:] == ["again"]:
            update(sys.argv[1])
        else:
            follow(sys.argv[1])
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"balancer-hosts: {problem}")
