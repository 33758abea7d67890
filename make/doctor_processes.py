"""Where the processes of make dev and make up differ from those of the servers. Pure: texts in, differences out."""

from __future__ import annotations

import re
from collections.abc import Iterator

WEB = ("server", "web")  # what make/Procfile.dev may call it
LINE = re.compile(r"^([\w-]+):[ \t]*(.*)", re.MULTILINE)
SERVICE = re.compile(r"^  ([\w.-]+):(.*(?:\n(?:   .*|[ \t]*#.*|[ \t]*$))*)", re.MULTILINE)
COMMAND = re.compile(r"""\bcommand:[\s\[-]*["']?(\w+)""")
ONCE = re.compile(r"""\brestart:\s*["']?no\b""")


def of_servers(text: str) -> list[str]:
    """The roles that hosts have by deploy/ENV.toml; none where it cannot be read, which others tell."""
    try:
        import tomllib
        hosts = tomllib.loads(text)["hosts"].values()
        return list(dict.fromkeys(role for host in hosts for role in host.get("roles", ())))
    except (ImportError, KeyError, AttributeError, TypeError, ValueError):  # ImportError: Python is older than 3.11
        return []


def of_procfile(text: str) -> dict[str, str]:
    """Role → name of each line that runs the project; others, such as a watcher of styles, are of this machine."""
    roles = {}
    for name, command in LINE.findall(text):
        celery = re.search(r"\bcelery\b.*?\s(worker|beat)\b", command)
        if name in WEB or celery or "manage.py" in command:
            roles["web" if name in WEB else celery[1] if celery else name] = name
    return roles


def of_compose(text: str) -> dict[str, str]:
    """Role → name of each service that runs the image for long."""
    roles = {}
    for name, service in SERVICE.findall(text.partition("\nservices:")[2]):
        command = COMMAND.search(service)
        role = "web" if not command or command[1] == "run" else command[1]
        if re.search(r"\*app\b|\$\{IMAGE\b", service) and not ONCE.search(service):
            roles[role if role in ("web", "worker", "beat") else name] = name
    return roles


def apart(servers: str, here: str, wanted: list[str], found: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(difference, cure) between the file of the servers, whose roles are `wanted`, and the file `here`. Nothing where
    one of them is not there, or names none."""
    if not wanted or not found:
        return
    for role in wanted:
        if role not in found:
            yield f"{here} does not run {role}, which hosts of {servers} do", "add it, see docs/processes.md"
    for role, name in found.items():
        if role not in wanted:
            yield (f"{here} runs {name}, and no host of {servers} has the role {role}",
                   f"give it to one, or take {name} out if it is not for this machine alone")
