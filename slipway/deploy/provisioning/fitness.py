"""What inspect.sh finds on a server, and what makes the server unfit. Pure but for reading scripts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..agent.roles import BUILT_IN
from ..config import Fleet, Host
from ..rollout.preflight import too_old
from ..server import consul, files
from ..server.render import render

SCRIPT = Path(__file__).with_name("inspect.sh")
NEEDED = {
    "apt-get": "is not Debian or Ubuntu: there is no apt-get",
    "systemd": "does not run systemd",
    "python3": "has no python3: apt-get install python3 there",
    "sites-enabled": "has an nginx.conf that reads no sites-enabled: add 'include /etc/nginx/sites-enabled/*;' in http"}


@dataclass(frozen=True)
class Found:
    """What inspect.sh has found on a server.

    `whole`: it came to its end; `missing`: commands and packages; `others`: what has the app's name and is not ours;
    `malformed`: files of settings, with what is wrong; `user`: the app has a user and a group; `processes`: what of the
    app has a unit, in slots ("web@") or alone ("beat"); `units`: the app's that run or start at boot; `node`: it is a
    node of a swarm; `serves`: its web is ready; `drained`: of a balancer, the hosts that get no visitors;
    `registered`: Consul's agent has our definition, `defined`: or one of others.
    """

    whole: bool = True
    missing: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    user: bool = False
    processes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    daemon_json: str = ""
    node: bool = False
    serves: bool = False
    drained: tuple[str, ...] = ()
    registered: bool = False
    defined: bool = False


def inspection(fleet: Fleet, remove: bool) -> list[str]:
    """The command that runs inspect.sh. Before a removal settings need not be well formed."""
    app = fleet.app
    pinned = [f"/run/{app}/{name}.env" for name in ("a", "b", *fleet.alone())]
    settings = [] if remove else [f"/etc/default/{app}.env", *pinned]
    own = [files.process_unit(app, process).path for name, process in fleet.processes.items() if name not in BUILT_IN]
    functions = function("malformed", "docker-runner") + function("processes", "docker-slot")
    return ["sh", "-c", functions + SCRIPT.read_text("utf-8"), "sh", app, *(" ".join(words) for words in (
        files.marks(app), files.named(app), settings, own, [consul.service_path(app)]))]


def function(name: str, file: str) -> str:
    """The text of a function of a script in slipway/deploy/server."""
    found = re.search(rf"^{name}\(\) \{{.*?^\}}\n", render(file, {}), re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def parse(lines: Iterable[str]) -> Found:
    """The Found of inspect.sh's output; lines of an unknown kind are ignored."""
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        told.setdefault(kind, []).append(rest.strip())

    def every(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(told.get(kind, ())))
    return Found("end" in told, frozenset(every("missing")), every("version"), every("other"), every("malformed"),
                 "user" in told, every("process"), every("unit"),
                 "".join(every("daemon")[:1]), every("swarm") not in ((), ("inactive",)), "serves" in told,
                 every("drained"), "registered" in told, "defined" in told)


def problems(found: Found) -> list[str]:
    """All that makes a server unfit, a line each."""
    if not found.whole:
        return ["cannot be looked at: the inspection ended early"]
    others = [f"has {', '.join(found.others)} that provisioning has not made: choose another name for the app, or"
              " remove that"] if found.others else []
    return [*(text for name, text in NEEDED.items() if name in found.missing), *others,
            *(text for line in found.versions for text in too_old(*line.partition(" ")[::2])), *wrong_settings(found)]


def consul_problems(found: Found, fleet: Fleet, host: Host) -> Iterator[str]:
    """Whether the host would need an agent of Consul, and has none, or one that knows the app already."""
    if found.defined and consul.registers(fleet, host):
        yield f"has {consul.service_path(fleet.app)} that provisioning has not made: remove it"
    if "consul-agent" in found.missing and (consul.registers(fleet, host) or consul.follows(fleet, host)):
        yield (f"has no Consul agent, which balancer = \"consul\" needs: no {consul.FOLDER}, or no consul.service;"
               " install one")


def wrong_settings(found: Found) -> Iterator[str]:
    """Malformed settings of the app, and of Docker."""
    for line in found.malformed:
        file, _, wrong = line.partition(" ")
        yield f"has {file} that docker-runner will not take ({wrong}): correct it"
    try:
        files.daemon_json(found.daemon_json)
    except (ValueError, RecursionError) as error:
        yield f"/etc/docker/daemon.json is no JSON object ({error}): correct it"
