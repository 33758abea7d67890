"""make doctor: what this machine lacks to develop, build and ship, and what to do: a line each.

Exit code 0 where one can develop, 1 where not. Decides by what doctor_look.py has seen; Python 3.9, standard library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

sys.dont_write_bytecode = True  # the checkout is no place for it
from doctor_look import Machine, look  # noqa: E402
from doctor_pins import stale  # noqa: E402
from doctor_processes import apart, of_compose, of_procfile, of_servers  # noqa: E402

PURPOSES = ("develop", "build", "ship")
GB = 1024 ** 3


class Finding(NamedTuple):
    """What is lacking, for what, and the cure. `hinders`: without it that cannot be done."""

    purpose: str
    text: str
    cure: str
    hinders: bool = True


def main(env: dict[str, str]) -> int:
    """Print the findings, then what this machine is ready for."""
    found = [*develop(machine := look(env), env), *build(machine, env), *ship(machine, env)]
    for finding in found:
        print(f"{finding.purpose:8} {'' if finding.hinders else 'note: '}{finding.text}: {finding.cure}")
    print(verdict(found))
    return "develop" in hindered(found)


def hindered(found: list[Finding]) -> list[str]:
    """What cannot be done."""
    return [purpose for purpose in PURPOSES if any(one.hinders and one.purpose == purpose for one in found)]


def verdict(found: list[Finding]) -> str:
    """The last line."""
    lacking = hindered(found)
    ready = [purpose for purpose in PURPOSES if purpose not in lacking]
    return "; ".join(f"{words} for: {', '.join(names)}"
                     for words, names in (("ready", ready), ("not ready", lacking)) if names)


def develop(machine: Machine, env: dict[str, str]) -> Iterator[Finding]:
    """What runserver and the tests need."""
    least, name = env["PYTHON_MIN"], env["PYTHON"]
    version = ".".join(map(str, machine.python))
    if machine.python < numbers(least):
        newer = f"run make PYTHON={machine.pythons[0]}" if machine.pythons else "install one, or name it by PYTHON"
        yield Finding("develop", f"{name} is Python {version}, and this project needs {least} or newer", newer)
    elif not machine.venv:
        yield Finding("develop", f"{name} lacks the venv module",
                      "apt install python{}.{}-venv (or python3-venv)".format(*machine.python))
    if numbers(env["MAKE_VERSION"]) < (3, 81):
        yield Finding("develop", f"make is {env['MAKE_VERSION']}", "install GNU Make 3.81 or newer")
    if machine.free < GB / 2:
        yield Finding("develop", f"{size(machine.free)} are free in this folder", "free 500 MB for the virtualenv")
    for problem in machine.env:
        yield Finding("develop", problem, "correct it, as nothing starts with it")
    for source, (text, pinned) in machine.pins.items():
        for problem in stale(text, pinned, source):
            yield Finding("develop", problem, "make requirements", hinders=False)
    yield from processes(machine, "develop", env.get("PROCFILE", ""), of_procfile)


def processes(machine: Machine, purpose: str, path: str, read: Callable[[str], dict[str, str]]) -> Iterator[Finding]:
    """Where a file runs other processes than the servers do."""
    servers, here = (machine.processes.get(name, "") for name in (machine.servers, path))
    for text, cure in apart(machine.servers, path, of_servers(servers), read(here)):
        yield Finding(purpose, text, cure, hinders=False)


def build(machine: Machine, env: dict[str, str]) -> Iterator[Finding]:
    """What make build, up and push need. One line for what keeps Docker from answering."""
    yield from processes(machine, "build", machine.compose_file, of_compose)
    if not machine.git:
        yield Finding("build", "no git here, and a commit names each image", "apt install git")
    if not machine.docker:
        yield Finding("build", "no docker here", "install Docker (https://docs.docker.com/engine/install/)")
    elif machine.engine == "denied":
        yield Finding("build", "you may not use Docker here", "sudo usermod -aG docker YOU, then log in again")
    elif machine.engine:
        yield Finding("build", "no Docker engine answers", "start it (systemctl start docker, or Docker Desktop)")
    else:
        yield from engine(machine, env)


def engine(machine: Machine, env: dict[str, str]) -> Iterator[Finding]:
    """What an engine that answers lacks."""
    if not machine.buildx:
        wanted = env.get("DOCKER_BUILDKIT", "0") not in ("", "0")
        yield Finding("build", "no buildx here, so the classic builder " + ("is needed" if wanted else "builds"),
                      "apt install docker-buildx-plugin" + (", or unset DOCKER_BUILDKIT" if wanted else ""), wanted)
    if not machine.compose:
        yield Finding("build", "no Docker Compose here, which make up needs", "apt install docker-compose-plugin",
                      hinders=False)
    if machine.docker_free is not None and machine.docker_free < 3 * GB:
        yield Finding("build", f"{size(machine.docker_free)} are free in Docker's folder",
                      "docker system prune, or free 3 GB there")


def ship(machine: Machine, env: dict[str, str]) -> Iterator[Finding]:
    """What the commands that go to servers need."""
    if not machine.ssh:
        yield Finding("ship", "no ssh here", "apt install openssh-client")
        return
    if machine.python < (3, 11):
        yield Finding("ship", "the deployer needs Python 3.11 or newer", "as for develop")
    if machine.fleet:
        yield Finding("ship", machine.fleet, "correct it" if "TOML" in machine.fleet else "name your servers there")
    if not machine.agent_has_key:
        keyless = not any(host.identities for host in machine.hosts)
        yield Finding("ship", "no ssh-agent with a key" + ("" if keyless else ", which keys with a passphrase need"),
                      'eval "$(ssh-agent)" && ssh-add' + (" (ssh-keygen makes a key)" if keyless else ""), keyless)
    for host in machine.hosts:
        if not host.resolved:
            yield Finding("ship", f"{host.name} is not found", "correct its address, or give it one in ssh_config")
        elif not host.known:
            yield Finding("ship", f"known_hosts lacks {host.at}", f"ssh {host.name} once, and compare its key")


def numbers(text: str) -> tuple[int, ...]:
    """(3, 81) of "3.81"; what is no number ends it."""
    parts = text.split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def size(amount: int) -> str:
    return f"{amount / GB:.1f} GB"


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
