"""nginx's files on a host: the app's own site where it serves, the balancer's where it balances. Pure but for reading
templates."""

import re
from dataclasses import dataclass, field

from .checks import is_numeric
from .config import Fleet, Host
from .render import each, render
from .schema import inner

NGINX = "/etc/nginx"
ACME = "/var/www/acme"  # where certbot answers Let's Encrypt


@dataclass(frozen=True)
class Site:
    """What is below /etc/nginx and takes effect together. `files`: path → content; `links`: path → where to;
    `absent`: paths that shall not be there."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        return [*self.files, *self.links, *self.absent]


def sites(fleet: Fleet, host: Host, certificate: bool) -> list[Site]:
    """The sites of a host; with TLS where it ends there, if the certificate is there."""
    names = [fleet.app] * host.has("web") + [f"{fleet.app}-balancer"] * host.balancer
    return [build(fleet, name, certificate and ends_tls(fleet, host)) for name in names]


def ends_tls(fleet: Fleet, host: Host) -> bool:
    """Whether TLS ends at this host's nginx: at balancers, or where there is none at web hosts."""
    front = host.balancer or host.has("web") and not fleet.balancers
    return front and fleet.site["tls"] in ("files", "certbot")


def build(fleet: Fleet, name: str, tls: bool) -> Site:
    """The Site of that name."""
    kind = "balancer-" if name != fleet.app else ""
    certificate, key = certificate_files(fleet)
    values = {**site_values(fleet, bool(kind)), "SITE": name, "CERTIFICATE": certificate, "CERTIFICATE_KEY": key}
    folder = f"{NGINX}/{name}"
    return Site(name, {
        f"{folder}/public.conf": render("nginx/https.conf" if tls else "nginx/http.conf", values),
        f"{folder}/app.conf": render(f"nginx/{kind}app.conf", values),
        f"{folder}/maintenance.html": render("nginx/maintenance.html", {}),
        f"{NGINX}/sites-available/{name}": render(f"nginx/{kind}site.conf", values),
    }, {f"{NGINX}/sites-enabled/{name}": f"../sites-available/{name}"}, (f"{NGINX}/sites-enabled/default",))


def stale_sites(fleet: Fleet, host: Host) -> list[Site]:
    """The sites that other roles than the host's would have, as what shall not be there. `server.d`, the team's,
    stays."""
    unwanted = [fleet.app] * (not host.has("web")) + [f"{fleet.app}-balancer"] * (not host.balancer)
    return [Site(name, absent=(
        f"{NGINX}/sites-enabled/{name}", f"{NGINX}/sites-available/{name}",
        *(f"{NGINX}/{name}/{file}" for file in ("public.conf", "app.conf", "maintenance.html")))) for name in unwanted]


def site_values(fleet: Fleet, balances: bool) -> dict[str, str]:
    """What the templates ask for. A balancer believes the proxies before it; a web host the balancers, too."""
    site = fleet.site
    believed = [*site["proxies"], *(inner_of(balancer) for balancer in fleet.balancers if not balances)]
    hosts = [with_port(inner_of(web)) for web in fleet.with_role("web")]
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
    """The lines of nginx's map that know who signs in."""
    return each('"~^POST:{}$" 1;', map(re.escape, paths))


def inner_of(host: Host) -> str:
    return inner(host.name, {"address": host.address, "internal": host.internal})


def with_port(address: str) -> str:
    """An address as nginx's `server` takes it; the port is 80 unless it names one."""
    return f"[{address}]" if ":" in address and is_numeric(address) else address


def certificate_files(fleet: Fleet) -> tuple[str, str]:
    """Where the certificate and its key are, if there are any."""
    if fleet.site["tls"] == "certbot":
        folder = f"/etc/letsencrypt/live/{fleet.site['names'][0]}"
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
    return fleet.site["certificate"], fleet.site["key"]
