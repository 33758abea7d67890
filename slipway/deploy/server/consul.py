"""What web hosts tell Consul of themselves, and what balancers know before it answers."""

import json

from ..config import Fleet, Host
from ..config.checks import address_and_port, is_numeric
from .files import File
from .render import render
from .site import ends_tls

FOLDER = "/etc/consul.d"
MARK = "written by provisioning"  # by which inspect.sh knows our file from a team's own


def service_path(app: str) -> str:
    """The path of an app's service definition."""
    return f"{FOLDER}/{app}.json"


def registers(fleet: Fleet, host: Host) -> bool:
    """Whether a host tells Consul of itself."""
    return fleet.by_consul and host.has("web")


def follows(fleet: Fleet, host: Host) -> bool:
    """Whether a host takes its balancer's hosts from Consul."""
    return fleet.by_consul and host.balancer


def service(fleet: Fleet, host: Host) -> File:
    """The service definition of a web host. Without a numeric address the agent's own holds. It never deregisters
    itself: an agent that has forgotten a service does not look at its file again until it is reloaded."""
    (address, port), tls = address_and_port(host.internal_address), ends_tls(fleet, host)
    definition = {
        "name": fleet.app,
        **({"address": address} if is_numeric(address) else {}),
        "port": 443 if tls else port,
        "tags": ["web"],
        "meta": {"host": host.name},
        "check": check(fleet, tls),
    }
    return File(service_path(fleet.app), json.dumps({"service": definition}, indent=4) + "\n")


def check(fleet: Fleet, tls: bool) -> dict[str, object]:
    """The check: /readyz as visitors would get it, by this host's nginx. It answers within 2 s, or is not ready; one
    slow answer turns nobody away, and a dead app is nginx's to notice at once."""
    name = next((name for name in fleet.site["names"]), "").replace("*", "any")
    return {
        "name": f"/readyz of {fleet.app}",
        "notes": MARK,
        "http": f"{'https' if tls else 'http'}://127.0.0.1/readyz",
        **({"tls_skip_verify": True} if tls else {}),  # this machine asks itself
        **({"header": {"Host": [name]}} if name else {}),
        "interval": "2s",
        "timeout": "3s",
        "failures_before_critical": 3,
    }


def script() -> File:
    """What keeps a balancer's hosts as Consul has them."""
    return File("/usr/local/bin/consul-hosts", render("consul_hosts.py", {}), "755")


def unit(app: str) -> str:
    """The unit that runs it."""
    return f"consul-hosts@{app}.service"
