"""What a host may hold, each thing as it should be."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Packages:
    """Debian's; docker-cli only where Debian has it as a package of its own."""

    names: tuple


@dataclass(frozen=True)
class User:
    """A system user that cannot log in, with a group of the same name."""

    name: str


@dataclass(frozen=True)
class Folder:
    """Without a mode: only that it is there."""

    path: str
    mode: str = ""
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class File:
    """`once`: only where there is none, whatever is in it then."""

    path: str
    content: str
    mode: str = "644"
    owner: str = "root"
    group: str = "root"
    once: bool = False


@dataclass(frozen=True)
class Absent:
    path: str


@dataclass(frozen=True)
class Group:
    """Things after whose change, or `anyway`, a command is due."""

    things: tuple
    then: str
    anyway: bool = False


@dataclass(frozen=True)
class Service:
    """A unit that starts at boot, and runs now (or, not `running`, may do as it does)."""

    name: str
    running: bool = True


@dataclass(frozen=True)
class Stopped:
    """Units that shall neither run nor start at boot."""

    names: tuple


@dataclass(frozen=True)
class Certificate:
    """One of Let's Encrypt's, which certbot gets and renews."""

    names: tuple
    email: str


@dataclass(frozen=True)
class Found:
    """What was found on a host: commands and packages that are missing, units of the app that run or start at boot,
    which of the paths that matter are there, the content of daemon.json, whether it is a node of Docker Swarm."""

    missing: frozenset = frozenset()
    units: tuple = ()
    paths: frozenset = frozenset()
    daemon_json: str = ""
    swarm: bool = False


@dataclass(frozen=True)
class Site:
    """What is below /etc/nginx and takes effect together, once nginx has found it good.

    `files`: path → content; `links`: path → where to; `absent`: paths of files and links.
    """

    name: str
    files: dict
    links: dict
    absent: tuple = ()


def merged(text, ours):
    """The text of a JSON file with our keys in it, or nothing where it holds them as they are. Raises ValueError for
    what is no JSON object."""
    settings = json.loads(text) if text.strip() else {}
    if not isinstance(settings, dict):
        raise ValueError("no object")
    return "" if settings == {**settings, **ours} else json.dumps({**settings, **ours}, indent=4) + "\n"
