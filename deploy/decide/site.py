"""nginx's files on a host: the app's site where it has the role web, the balancer's where it balances. Pure but for
reading templates."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .checks import is_numeric
from .config import Fleet, Host
from .render import each, render

NGINX = "/etc/nginx"
ACME = "/var/www/acme"  # where certbot answers Let's Encrypt


@dataclass(frozen=True)
class Site:
    """Files below /etc/nginx that are put in place together. `files`: path → content; `links`: path → target;
    `absent`: paths to be removed."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """All paths that it names."""
        return [*self.files, *self.links, *self.absent]


def sites(fleet: Fleet, host: Host, certificate: bool, out: Collection[str] = ()) -> list[Site]:
    """The sites of a host; with TLS where it ends there, once the `certificate` is there. `out`: names of the web hosts
    to which a balancer sends nobody."""
    names = [fleet.app] * host.has("web") + [f"{fleet.app}-balancer"] * host.balancer
    return [build(fleet, name, certificate and ends_tls(fleet, host), out) for name in names]


def unreleased(released: Mapping[str, bool]) -> list[str]:
    """Of web hosts by name, those without a release while others have one: a balancer would send them visitors."""
    return [name for name, there in released.items() if not there] if any(released.values()) else []


def drained(fleet: Fleet, before: Collection[str], name: str, away: bool) -> list[str]:
    """Names of the web hosts that get no visitors once that one has been drained, or no longer is."""
    known = [web.name for web in fleet.with_role("web")]
    return [each for each in known if each in before and each != name or each == name and away]


def drained_site(fleet: Fleet, names: Collection[str], out: Collection[str]) -> Site:
    """What a balancer holds of hosts: those that are drained by `names`, and are `out` for whatever reason."""
    name = f"{fleet.app}-balancer"
    path = f"{NGINX}/sites-available/{name}"
    return Site(name, {drained_file(fleet.app): "".join(f"{each}\n" for each in names),
                       path: build(fleet, name, False, out).files[path]})


def drained_file(app: str) -> str:
    """The path of the names of drained hosts, on a balancer."""
    return f"{NGINX}/{app}-balancer/drained"


def ends_tls(fleet: Fleet, host: Host) -> bool:
    """Whether TLS ends at this host's nginx: at the balancers; at the web hosts where there are none."""
    front = host.balancer or host.has("web") and not fleet.balancers
    return front and fleet.site["tls"] in ("files", "certbot")


def build(fleet: Fleet, name: str, tls: bool, out: Collection[str] = ()) -> Site:
    """The Site of that name, the app's or its balancer's."""
    kind = "balancer-" if name != fleet.app else ""
    certificate, key = certificate_files(fleet)
    values = {**site_values(fleet, bool(kind), out), "SITE": name, "CERTIFICATE": certificate, "CERTIFICATE_KEY": key}
    folder = f"{NGINX}/{name}"
    return Site(name, {
        f"{folder}/public.conf": render("nginx/https.conf" if tls else "nginx/http.conf", values),
        f"{folder}/app.conf": render(f"nginx/{kind}app.conf", values),
        f"{folder}/maintenance.html": render("nginx/maintenance.html", {}),
        f"{NGINX}/sites-available/{name}": render(f"nginx/{kind}site.conf", values),
    }, {f"{NGINX}/sites-enabled/{name}": f"../sites-available/{name}"}, (f"{NGINX}/sites-enabled/default",))


def stale_sites(fleet: Fleet, host: Host) -> list[Site]:
    """The sites that only roles need which the host does not have, to be removed. The folder server.d, the team's,
    stays."""
    unwanted = [fleet.app] * (not host.has("web")) + [f"{fleet.app}-balancer"] * (not host.balancer)
    return [Site(name, absent=(
        f"{NGINX}/sites-enabled/{name}", f"{NGINX}/sites-available/{name}",
        *(f"{NGINX}/{name}/{file}" for file in ("public.conf", "app.conf", "maintenance.html", "drained"))))
        for name in unwanted]


def site_values(fleet: Fleet, balances: bool, out: Collection[str]) -> dict[str, str]:
    """The templates' values. A balancer trusts the addresses of the proxies before it; a web host also the
    balancers'."""
    site = fleet.site
    believed = [*site["proxies"], *(balancer.internal_address for balancer in fleet.balancers if not balances)]
    hosts = [nginx_address(web.internal_address) + " down" * (web.name in out) for web in fleet.with_role("web")]
    return {
        "APP": fleet.app,
        "SERVER_NAMES": " ".join(site["names"]) or "_",
        "SCHEME": "http" if site["tls"] == "off" else "https",
        "HTTP_PORT": "80",
        "HTTPS_PORT": "443",
        "BODY_LIMIT": site["body_limit"],
        "REAL_IP": each("set_real_ip_from {};", believed),
        "BALANCERS": each("{} balancer;", believed),
        "PROXIES": each("{} proxy;", believed),
        "METRICS_FROM": each("{} named;", site["metrics_from"]),
        "LOGIN_PATHS": logins(site["login_paths"]),
        "HOSTS": each("server {} max_fails=2 fail_timeout=10s;", hosts),
    }


def logins(paths: list[str]) -> str:
    """The lines of nginx's map for requests that sign in: POST to one of these paths."""
    return each('"~^POST:{}$" 1;', map(re.escape, paths))


def nginx_address(address: str) -> str:
    """An address as nginx's `server` takes it: IPv6 in brackets. Its port is 80 unless it names one."""
    return f"[{address}]" if ":" in address and is_numeric(address) else address


def certificate_files(fleet: Fleet) -> tuple[str, str]:
    """The paths of the certificate and its key, "" without TLS."""
    if fleet.site["tls"] == "certbot":
        folder = f"/etc/letsencrypt/live/{fleet.site['names'][0]}"
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
    return fleet.site["certificate"], fleet.site["key"]
