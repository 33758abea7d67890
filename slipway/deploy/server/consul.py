"""The registration of a web host in Consul."""

import json

from ..config import Fleet, Host
from ..config.validators import address_and_port, is_numeric
from .files import File
from .site import a_name, ends_tls

FOLDER = "/etc/consul.d"
MARK = "written by provisioning"  # marks the file as ours, for inspect.sh


def service_path(app: str) -> str:
    return f"{FOLDER}/{app}.json"


def registers(fleet: Fleet, host: Host) -> bool:
    return fleet.by_consul and host.has("web")


def service(fleet: Fleet, host: Host) -> File:
    """Return the file that registers a web host in Consul. Omit an address that is a name: then Consul uses its agent's
    address. Omit deregister_critical_service_after: with it, Consul forgets a sick host until the agent reloads."""
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
    """Return Consul's check of a host: /readyz through its nginx, within 3 s, as a ready app answers within 2."""
    name = a_name(fleet)
    return {
        "name": f"/readyz of {fleet.app}",
        "notes": MARK,
        "http": f"{'https' if tls else 'http'}://127.0.0.1/readyz",
        **({"tls_skip_verify": True} if tls else {}),  # safe: the request stays on this machine
        **({"header": {"Host": [name]}} if name else {}),
        "interval": "2s",
        "timeout": "3s",
        "failures_before_critical": 3,
    }
