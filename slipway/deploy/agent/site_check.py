"""Ask this host's nginx as visitors do, at its port and by the site's names. nginx's logs tell which site answers."""

from __future__ import annotations

import os
import re

from . import disk, http, site
from .host import Host, wait_until
from .visitors import NOTED, OWN, Visitors

LISTEN = re.compile(r"^\s*listen (?:([\d.]+):)?(\d+)( ssl)?", re.MULTILINE)
NAMES = re.compile(r"^\s*server_name (.+);", re.MULTILINE)


def strangers(host: Host) -> list[str]:
    """Return a problem for each name at which nginx does not show visitors the app, or its balancer."""
    return [problem for name in (host.app, host.app + "-balancer") for problem in of_site(host, name)]


def of_site(host: Host, name: str) -> list[str]:
    text = disk.read(f"{host.root}/etc/nginx/{name}/public.conf") or ""
    servers = list(zip(LISTEN.findall(text)[-1:], NAMES.findall(text)[-1:]))  # the last server is the site
    own = site.site_of(host, disk.read_bytes(host.env)) or ("", "localhost")  # for a site that has no names
    return [
        problem
        for (address, port, tls), names in servers
        for problem in problems_of_names(
            Visitors(host, name),
            (address or "127.0.0.1", int(port)),
            bool(tls),
            names.replace("*", "any").replace("_", re.sub(r":\d+$", "", own[1])).split(),
        )
    ]


def problems_of_names(log: Visitors, place: tuple[str, int], tls: bool, names: list[str]) -> list[str]:
    """Request a page by each name. Return a problem for each whose request does not show up in the site's log."""
    agents = {name: f"{http.AGENT} {os.urandom(8).hex()}" for name in names}
    answers: dict[str, tuple[int, str]] = {}

    def all_noted() -> bool:
        for name, agent in agents.items():
            answers[name] = http.ask(place, OWN, ("http", name), tls=tls, agent=agent)
            if not answers[name][0]:  # nginx does not answer: do not wait once for each name
                return False
        text = log.new_lines()
        for name in [name for name, agent in agents.items() if agent.encode() in text and answers[name][0] != 421]:
            del agents[name]
        return not agents

    wait_until(all_noted, NOTED)
    for name in agents:
        if not answers[name][0]:
            return [f"nginx answers visitors of {name} with {answers[name][1]}: see systemctl status nginx"]
    return [problem_of_name(log.path, place, tls, name, answers[name][0]) for name in agents]


def problem_of_name(log: str, place: tuple[str, int], tls: bool, name: str, status: int) -> str:
    release = status != 421 and http.release_of(http.ask(place, "/readyz", ("http", name), tls=tls)[1])
    answer = f"release {str(release)[:200]}" if release else status
    return (
        f"visitors of {name} get {answer}, which {log} does not note: check the free disk, run slipway provision, and"
        " give each name in [site] to one app"
    )
