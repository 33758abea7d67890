"""nginx on a host: the app's own site where it serves, the balancer's where it balances. Pure."""

import re

from .render import each, render
from .schema import inner, is_numeric
from .things import Certificate, Folder, Site

NGINX = "/etc/nginx"


def site_of(fleet, host, found):
    """The steps for the sites a host has; a Certificate first, and http until there is one, for certbot."""
    front = host.balancer or host.has("web") and not fleet.balancers  # TLS ends here, if anywhere of ours
    names = [fleet.app] * host.has("web") + [f"{fleet.app}-balancer"] * host.balancer
    if not names:
        return
    yield Folder("/var/www")
    yield Folder("/var/www/acme")
    wanted = fleet.site["tls"] if front else "off"
    certificate = certificate_files(fleet.site)
    if wanted == "certbot" and certificate[0] not in found.paths:
        yield from (build(fleet, host, name, None) for name in names)
        yield Certificate(tuple(fleet.site["names"]), fleet.site["email"])
    tls = wanted in ("files", "certbot")
    yield from (build(fleet, host, name, certificate if tls else None) for name in names)


def build(fleet, host, name, certificate):
    """The Site `name` of a host, with TLS where there is a certificate (path, path of its key)."""
    kind = "balancer-" if name != fleet.app else ""
    values = {**site_values(fleet, kind), "SITE": name}
    if certificate:
        values |= {"CERTIFICATE": certificate[0], "CERTIFICATE_KEY": certificate[1]}
    folder = f"{NGINX}/{name}"
    return Site(name, {
        f"{folder}/public.conf": render("nginx/https.conf" if certificate else "nginx/http.conf", values),
        f"{folder}/app.conf": render(f"nginx/{kind}app.conf", values),
        f"{folder}/maintenance.html": render("nginx/maintenance.html", {}),
        f"{NGINX}/sites-available/{name}": render(f"nginx/{kind}site.conf", values),
    }, {f"{NGINX}/sites-enabled/{name}": f"../sites-available/{name}"}, (f"{NGINX}/sites-enabled/default",))


def site_values(fleet, balances):
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


def logins(paths):
    """The lines of nginx's map that know who signs in."""
    return each('"~^POST:{}$" 1;', map(re.escape, paths))


def inner_of(host):
    return inner(host.name, {"address": host.address, "internal": host.internal})


def with_port(address):
    """An address as nginx's `server` takes it; the port is 80 unless it names one."""
    return f"[{address}]" if ":" in address and is_numeric(address) else address


def certificate_files(site):
    if site["tls"] == "certbot":
        folder = f"/etc/letsencrypt/live/{site['names'][0]}"
        return f"{folder}/fullchain.pem", f"{folder}/privkey.pem"
    return site["certificate"], site["key"]


def sites_gone(fleet, host, found):
    """The sites of an earlier role; server.d, which is the team's, stays."""
    for name, wanted in ((fleet.app, host.has("web")), (f"{fleet.app}-balancer", host.balancer)):
        paths = site_paths(name)
        if not wanted and set(paths) & found.paths:
            yield Site(name, {}, {}, tuple(path for path in paths if path in found.paths))


def site_paths(name):
    return [f"{NGINX}/sites-enabled/{name}", f"{NGINX}/sites-available/{name}",
            *(f"{NGINX}/{name}/{file}" for file in ("public.conf", "app.conf", "maintenance.html"))]


def sites_paths(fleet):
    """Every path of this part whose being there makes a difference."""
    certificate = certificate_files(fleet.site)[:1] if fleet.site["tls"] == "certbot" else ()
    return [*site_paths(fleet.app), *site_paths(f"{fleet.app}-balancer"), *certificate]


# ---- how they take effect: built here, run by apply.py ----

def trial(name, changed, links, absent):
    """A copy of /etc/nginx to be changed and tested first: its folder, the script that makes it, the one that tests.

    The test sees the copy as /etc/nginx, in a mount namespace of its own: no other process ever does.
    """
    folder = f"{NGINX}.new-{name}"
    there = {path: path.replace(NGINX, folder, 1) for path in (*changed, *links, *absent)}
    prepare = "\n".join(["set -e", f"rm -rf {folder}", f"cp -a {NGINX} {folder}",
                         *(f"rm -f {there[path]}" for path in absent),
                         *(f"mkdir -p {parent(there[path])}" for path in (*changed, *links)),
                         *(f"ln -sfn {target} {there[path]}" for path, target in links.items())])
    test = (f"chmod 644 {' '.join(there[path] for path in changed)}\n" if changed else "") + (
        f"unshare --mount sh -c 'mount --bind {folder} {NGINX} && nginx -t -q' || {{ rm -rf {folder}; exit 1; }}")
    return folder, prepare, test


def swap(name, changed, links, absent):
    """The script that brings what was tested into place, each file by a rename, and has nginx read it."""
    folder = f"{NGINX}.new-{name}"
    lines = ["set -e", "sync"]
    for path in (*changed, *links):
        lines += [f"mkdir -p {parent(path)}", f"mv -fT {path.replace(NGINX, folder, 1)} {path}"]
    return "\n".join([*lines, *(f"rm -f {path}" for path in absent), f"rm -rf {folder}", "sync",
                      "! systemctl --quiet is-active nginx.service || systemctl reload nginx.service"])


def parent(path):
    return path.rpartition("/")[0]
