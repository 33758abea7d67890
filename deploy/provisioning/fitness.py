"""What is found on a server before anything changes there, and what makes it unfit. Pure but for reading scripts."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..decide import server
from ..decide.config import Fleet
from ..decide.preflight import too_old
from ..decide.render import render

SCRIPT = Path(__file__).with_name("inspect.sh")
NEEDED = {
    "apt-get": "is not Debian or Ubuntu: there is no apt-get",
    "systemd": "does not run systemd",
    "sites-enabled": "has an nginx.conf that reads no sites-enabled: add 'include /etc/nginx/sites-enabled/*;' in http"}


@dataclass(frozen=True)
class Found:
    """What inspect.sh has found.

    `missing`: commands and packages; `others`: what bears the app's name and is not ours; `malformed`: files of
    settings, and what is wrong; `user`: whether the app has a user and a group; `login`: the shell with which that user
    may log in; `units`: those of the app that run or start at boot; `swarm`: whether it is a node of Docker Swarm.
    """

    whole: bool = True
    missing: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    user: bool = False
    login: str = ""
    units: tuple[str, ...] = ()
    daemon_json: str = ""
    swarm: bool = False


def inspection(fleet: Fleet, remove: bool) -> list[str]:
    """The words that run inspect.sh. Who removes the app need not mind its settings."""
    app = fleet.app
    malformed = re.search(r"^malformed\(\) \{.*?^\}\n", render("docker-runner", {}), re.MULTILINE | re.DOTALL)
    assert malformed
    settings = [] if remove else [f"/etc/default/{app}.env", *(f"/run/{app}/{slot}.env" for slot in ("a", "b", "beat"))]
    return ["sh", "-c", malformed[0] + SCRIPT.read_text("utf-8"), "sh", app, *(" ".join(words) for words in (
        fleet.server["packages"], server.marks(app), server.named(app), settings))]


def parse(lines: Iterable[str]) -> Found:
    """The Found in the lines of inspect.sh; whatever else they say is passed over."""
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        told.setdefault(kind, []).append(rest.strip())

    def every(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(told.get(kind, ())))
    return Found("end" in told, frozenset(every("missing")), every("version"), every("other"), every("malformed"),
                 "user" in told, " ".join(every("login")), every("unit"), decoded("".join(every("daemon")[:1])),
                 every("swarm")[:1] == ("active",))


def decoded(text: str) -> str:
    """Text that came as base64; text that is no JSON either where it is none."""
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return "?"


def problems(found: Found, app: str) -> list[str]:
    """All that makes a server unfit."""
    if not found.whole:
        return ["cannot be looked at: the inspection ended early"]
    return [*(text for name, text in NEEDED.items() if name in found.missing), *not_ours(found, app),
            *(text for line in found.versions for text in too_old(*line.partition(" ")[::2])), *wrong_settings(found)]


def not_ours(found: Found, app: str) -> Iterator[str]:
    if found.others:
        yield (f"has {', '.join(found.others)} that provisioning has not made: choose another name for the app, or"
               " remove that")
    if found.login:
        yield f"has a user {app} who may log in ({found.login}): choose another name for the app, or remove the user"


def wrong_settings(found: Found) -> Iterator[str]:
    for line in found.malformed:
        file, _, wrong = line.partition(" ")
        yield f"has {file} that docker-runner will not take ({wrong}): correct it"
    try:
        server.daemon_json(found.daemon_json)
    except (ValueError, RecursionError) as error:
        yield f"/etc/docker/daemon.json is no JSON object ({error}): correct it"
