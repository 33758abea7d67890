"""Reads the output of inspect.sh, which examines a server, and decides if the server can be provisioned."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources

from ..agent.roles import BUILT_IN
from ..config import Fleet, Host
from ..rollout.preflight import too_old
from ..server import consul, files
from ..server.render import render
from ..server.site import certificate_files, ends_tls

NEEDED = {
    "apt-get": "has no apt-get: use Debian or Ubuntu",
    "systemd": "does not run systemd: use Debian or Ubuntu with systemd",
    "python3": "has no python3: run apt-get install python3 there",
    "sites-enabled": "has an nginx.conf without sites-enabled: add 'include /etc/nginx/sites-enabled/*;' in http",
}


@dataclass(frozen=True)
class Inspection:
    """The state of a server before it is provisioned."""

    missing: frozenset[str] = frozenset()  # commands and other things that the app needs, but the server lacks
    versions: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # files, users and groups with the app's name, not made by provisioning
    malformed: tuple[str, ...] = ()  # problems in APP.env
    user: bool = False  # the app's user exists
    processes: tuple[str, ...] = ()  # names of processes that have a unit, with @ if they run in slots: "web@", "beat"
    units: tuple[str, ...] = ()  # the app's units that run or are enabled
    daemon_json: str = ""
    node: bool = False  # the server belongs to a swarm
    serves: bool = False  # this server's web process is ready
    drained: tuple[str, ...] = ()  # hosts that get no visitors from this balancer
    registered: bool = False  # Consul has the app's definition that provisioning wrote
    defined: bool = False  # Consul has a definition of the app that provisioning did not write
    sites: tuple[str, ...] = ()  # nginx's other sites: "blog blog.example"; "shop _ =shop.example": any name, its own
    own: tuple[str, ...] = ()  # the name in the app's SITE_URL
    certificate: tuple[str, ...] = ()  # why nginx could not use the team's certificate and key
    masked: bool = False  # a provisioning that was killed while apt installed nginx has left it masked
    hostname: str = ""


def inspection(fleet: Fleet, host: Host, brief: bool) -> list[str]:
    app, settings = fleet.app, [] if brief else [f"/etc/default/{fleet.app}.env"]
    own = [files.process_unit(app, process).path for name, process in fleet.roles.items() if name not in BUILT_IN]
    own += [files.timer(app, process).path for process in fleet.timed.values()]
    certificate = certificate_files(fleet) if not brief and fleet.site["tls"] == "files" else ()
    processes = re.search(r"^processes\(\) \{.*?^\}\n", render("docker-slot", {}), re.MULTILINE | re.DOTALL)
    assert processes  # noqa: S101  for types: our own file has it
    script, envfile = (
        resources.files("slipway").joinpath(path).read_text("utf-8")
        for path in ("deploy/provisioning/inspect.sh", "envfile.py")
    )
    return [
        "sh",
        "-c",
        processes[0] + script,
        "sh",
        app,
        *(" ".join(words) for words in (files.marks(app), files.named(app), settings, own, [consul.service_path(app)])),
        " ".join(f"{app}-{name}" for name in host.services),
        " ".join(certificate if ends_tls(fleet, host) else ()),
        envfile,
    ]


def parse(lines: Iterable[str]) -> Inspection:
    kinds: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        kinds.setdefault(kind, []).append(rest.strip())

    def every(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kinds.get(kind, ())))

    return Inspection(
        frozenset(every("missing")),
        every("version"),
        every("other"),
        every("malformed"),
        "user" in kinds,
        every("process"),
        every("unit"),
        "".join(every("daemon")[:1]),
        every("swarm") not in ((), ("inactive",)),
        "serves" in kinds,
        every("drained"),
        "registered" in kinds,
        "defined" in kinds,
        every("site"),
        every("own"),
        every("certificate"),
        "masked" in kinds,
        "".join(every("hostname")[:1]),
    )


def problems(inspection: Inspection) -> list[str]:
    others = (
        [
            f"has {', '.join(inspection.others)}, not made by provisioning: choose another name for the app, or"
            " remove them"
        ]
        if inspection.others
        else []
    )
    return [
        *(text for name, text in NEEDED.items() if name in inspection.missing),
        *others,
        *(text for line in inspection.versions for text in too_old(*line.partition(" ")[::2])),
        *(f'{text}: copy certificate and key there, for tls = "files" in [site]' for text in inspection.certificate),
        *wrong_settings(inspection),
    ]


def name_problems(inspection: Inspection, fleet: Fleet, host: Host) -> Iterator[str]:
    """Yield a problem for each other site whose visitors the app would take, or that would take the app's."""
    ours = {name.lower() for name in fleet.site["names"]} or {"_", *(f"={name.lower()}" for name in inspection.own)}
    for site, *theirs in filter(None, map(str.split, inspection.sites if files.serves_http(host) else ())):
        named = {name.lower() for name in theirs}
        for name in sorted(name for name in ours & named if not name.startswith("=")):
            yield (
                f"has {site} for visitors by any name, and only one app can do that: set names in [site], here or "
                f"for {site}"
                if name == "_"
                else f"has {site} with the name {name}: remove it from one [site]"
            )
        for name in sorted({*taken(ours, named), *taken(named, ours)}):
            yield (
                f"has {site} with the name {name}, and one of both apps has no names in [site] but SITE_URL: set its"
                " names there, or remove this one from the other's"
            )


def taken(own: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """Yield each name like "=shop.example", of an app that has no others, whose visitors an app with `names` gets."""
    for name in (name[1:] for name in own if name.startswith("=")):
        yield from (name for other in names if other == name or (other.startswith("*.") and name.endswith(other[1:])))


def consul_problems(inspection: Inspection, fleet: Fleet, host: Host) -> Iterator[str]:
    if inspection.defined and consul.registers(fleet, host):
        yield f"has {consul.service_path(fleet.app)}, not made by provisioning: remove it"
    if "consul-agent" in inspection.missing and fleet.by_consul and (host.has("web") or host.balancer):
        yield f'has no {consul.FOLDER} or no consul.service: install the Consul agent that balancer = "consul" needs'


def wrong_settings(inspection: Inspection) -> Iterator[str]:
    yield from (f"/etc/default/{problem}" for problem in inspection.malformed)
    try:
        files.daemon_json(inspection.daemon_json)
    except (ValueError, RecursionError) as error:
        yield f"/etc/docker/daemon.json is not a JSON object ({error}): correct it"
