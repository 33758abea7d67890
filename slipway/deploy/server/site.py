"""nginx's files for the app and its balancer."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..config import Fleet, Host
from ..config.validators import address_and_port, is_numeric
from .balancer_hosts import Web, listed
from .render import each, render

NGINX = "/etc/nginx"
PROBES = ("healthz", "readyz", "metrics", "debug/vars")  # the paths at which the app answers machines
ACME = "/var/www/acme"  # folder with certbot's answers to Let's Encrypt


@dataclass(frozen=True)
class Site:
    """Files below /etc/nginx that change together. `files`: path → content; `links`: path → target;
    `first`: like `files`, but an existing file stays; `absent`: paths to remove."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    first: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [*self.files, *self.first, *self.links, *self.absent]


@dataclass(frozen=True)
class Out:
    """Web hosts that get no visitors: `drained` by a command, or `silent` because their web does not answer."""

    drained: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def all(self) -> set[str]:
        return {*self.drained, *self.silent}


def sites(fleet: Fleet, host: Host, certificate: bool, out: Out = Out()) -> list[Site]:
    """Return a host's sites. They use TLS if the `certificate` exists and TLS ends at this host."""
    names = [name for name, has_role in site_names(fleet, host).items() if has_role]
    return [build(fleet, name, certificate and ends_tls(fleet, host), out) for name in names]


def site_names(fleet: Fleet, host: Host) -> dict[str, bool]:
    """Return the names of the app's sites: name → has the host its role?"""
    return {fleet.app: host.has("web"), f"{fleet.app}-balancer": host.balancer}


def silent(serves: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, answers in serves.items() if not answers) if any(serves.values()) else ()


def drained(fleet: Fleet, before: Collection[str], name: str = "", away: bool = True) -> tuple[str, ...]:
    """Return the fleet's drained web hosts: `before` plus `name` if `away` is True, minus `name` if `away` is False."""
    webs = [web.name for web in fleet.with_role("web")]
    return tuple(each for each in webs if (each in before and each != name) or (each == name and away))


def hosts_site(fleet: Fleet, out: Out) -> Site:
    whole = build(fleet, f"{fleet.app}-balancer", False, out)
    path = of_balancer(fleet.app, "drained")
    if path in whole.files:
        return Site(whole.name, {path: whole.files[path]})
    return Site(whole.name, absent=(path,))


def nobody_left(fleet: Fleet, out: Out) -> str:
    names = {web.name for web in fleet.with_role("web")}
    if not names or not names <= out.all:
        return ""
    return f"would have no host for visitors: run slipway drain --end {min(names & {*out.drained}, default='')}"


def of_balancer(app: str, file: str) -> str:
    return f"{NGINX}/{app}-balancer/{file}"


def ends_tls(fleet: Fleet, host: Host) -> bool:
    """Return True if the host ends TLS (`tls`: "files" or "certbot"). Balancers do; without balancers, web hosts do."""
    front = host.balancer or (host.has("web") and not fleet.balancers)
    return front and fleet.site["tls"] in ("files", "certbot")


def build(fleet: Fleet, name: str, tls: bool, out: Out) -> Site:
    kind = "balancer-" if name != fleet.app else ""
    certificate, key = certificate_files(fleet)
    values = with_port(
        {**site_values(fleet, bool(kind), out), "SITE": name, "CERTIFICATE": certificate, "CERTIFICATE_KEY": key}, tls
    )
    folder = f"{NGINX}/{name}"
    own = of_hosts(fleet, out) if kind else {}
    listing = {of_balancer(fleet.app, "hosts.conf"): first_hosts(fleet, out)} if kind else {}
    unused = [of_balancer(fleet.app, file) for file in ("drained", "checks.json") if kind]
    return Site(
        name,
        {
            **own,
            f"{folder}/public.conf": render("nginx/public.conf", values),
            f"{folder}/app.conf": render(f"nginx/{kind}app.conf", values),
            f"{folder}/common.conf": render("nginx/common.conf", values),
            f"{folder}/maintenance.html": render("nginx/maintenance.html", {}),
            f"{NGINX}/sites-available/{name}": render(
                f"nginx/{kind}site.conf", {**values, "MAPS": render("nginx/maps.conf", values)}
            ),
        },
        {f"{NGINX}/sites-enabled/{name}": f"../sites-available/{name}"},
        (f"{NGINX}/sites-enabled/default", *(path for path in unused if path not in own)),
        listing,
    )


def of_hosts(fleet: Fleet, out: Out) -> dict[str, str]:
    """Return the balancer's files that tell balancer-hosts which hosts are drained, and which it checks itself."""
    files = {}
    if out.drained:
        files[of_balancer(fleet.app, "drained")] = "".join(f"{name}\n" for name in out.drained)
    if not fleet.by_consul:
        checks = {"name": a_name(fleet), "addresses": {web.name: address for web, address in addresses(fleet)}}
        files[of_balancer(fleet.app, "checks.json")] = json.dumps(checks, indent=4) + "\n"
    return files


def with_port(values: Mapping[str, str], tls: bool) -> dict[str, str]:
    """Add the values that say at which port a site is, and if it ends TLS."""
    if not tls:
        return {**values, "PORT": values["HTTP_PORT"], "TLS": "", "REDIRECT": ""}
    # Newer versions prefer `http2 on;` and warn; nginx of Debian 11 and 12 knows only this form.
    return {
        **values,
        "PORT": values["HTTPS_PORT"] + " ssl http2",
        "TLS": render("nginx/tls.conf", values),
        "REDIRECT": render("nginx/redirect.conf", values),
    }


def stale_sites(fleet: Fleet, host: Host) -> list[Site]:
    """Return the sites of roles that the host lacks, for removal. The team's folder server.d stays."""
    unwanted = [name for name, has_role in site_names(fleet, host).items() if not has_role]
    return [
        Site(
            name,
            absent=(
                f"{NGINX}/sites-enabled/{name}",
                f"{NGINX}/sites-available/{name}",
                *(
                    f"{NGINX}/{name}/{file}"
                    for file in (
                        "public.conf",
                        "app.conf",
                        "common.conf",
                        "maintenance.html",
                        "maintenance",
                        "drained",
                        "hosts.conf",
                        "checks.json",
                    )
                ),
            ),
        )
        for name in unwanted
    ]


def site_values(fleet: Fleet, balances: bool, out: Out) -> dict[str, str]:
    """Return the templates' values. `balances`: True for the balancer's site, False for the app's site. Both trust
    headers from `proxies`; the app's site also trusts the balancers."""
    site = fleet.site
    proxies = site["proxies"]
    balancers = [balancer.internal_address for balancer in fleet.balancers if not balances]
    return {
        "APP": fleet.app,
        "SERVER_NAMES": " ".join(site["names"]) or "_",
        "DEFAULT": "" if site["names"] else " default_server",
        "SCHEME": "http" if site["tls"] == "off" else "https",
        "HTTP_PORT": "80",
        "HTTPS_PORT": "443",
        "BODY_LIMIT": site["body_limit"],
        "PROBES": probes_as_sent(),
        "REAL_IP": each("set_real_ip_from {};", [*proxies, *balancers]),
        "TRUSTED": each(
            "{};", [*(f"{address} trusted" for address in proxies), *(f"{address} balancer" for address in balancers)]
        ),
    }


def probes_as_sent() -> str:
    """Return an expression for these paths in whatever form a client sends them: the app decodes %72 to r."""
    return "|".join("".join(f"({letter}|(?i:%{ord(letter):x}))" for letter in path) for path in PROBES)


def nginx_address(address: str) -> str:
    return f"[{address}]" if ":" in address and is_numeric(address) else address


def first_hosts(fleet: Fleet, out: Out) -> str:
    """Return the text of hosts.conf until balancer-hosts has asked the hosts, or Consul."""
    webs = [Web(address, host.name) for host, address in addresses(fleet) if host.name not in out.silent]
    return listed(webs, out.drained)


def addresses(fleet: Fleet) -> list[tuple[Host, str]]:
    """Return each web host with its address and port, as nginx writes them."""
    return [
        (host, f"{nginx_address(address)}:{port}")
        for host in fleet.with_role("web")
        for address, port in [address_and_port(host.internal_address)]
    ]


def a_name(fleet: Fleet) -> str:
    """Return a name that the site answers, or "" if it answers all."""
    return next(iter(fleet.site["names"]), "").replace("*", "any")


def certificate_files(fleet: Fleet) -> tuple[str, str]:
    if fleet.site["tls"] == "certbot":
        folder = f"/etc/letsencrypt/live/{fleet.site['names'][0]}"
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
    return fleet.site["certificate"], fleet.site["key"]
