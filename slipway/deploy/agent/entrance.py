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
    text = disk.read("%s/etc/nginx/%s/public.conf" % (host.root, name)) or ""
    servers = list(zip(LISTEN.findall(text)[-1:], NAMES.findall(text)[-1:]))  # the last server is the site
    found = site.of(host, disk.read_bytes(host.env)) or ("", "localhost")  # for a site that has no names
    return [problem for (address, port, tls), names in servers
            for each in names.replace("*", "any").replace("_", re.sub(r":\d+$", "", found[1])).split()
            for problem in stranger(Visitors(host, name), (address or "127.0.0.1", int(port)), each, bool(tls))]


def stranger(log: Visitors, place: tuple[str, int], name: str, tls: bool) -> list[str]:
    """Request a page by the name. Return a problem if the request does not show up in the site's log."""
    agent = "%s %s" % (http.AGENT, os.urandom(8).hex())

    def is_noted() -> bool:
        http.ask(place, OWN, ("http", name), tls=tls, agent=agent)
        return agent.encode() in log.new_lines()
    if wait_until(is_noted, NOTED):
        return []
    status, body = http.ask(place, "/readyz", ("http", name), tls=tls)
    release = http.release_of(body)
    return ["visitors of %s get %s, not this app (%s does not note them): run make provision, and give each name in"
            " [site] to one app" % (name, "release %.200s" % release if release else status or body, log.path)]
