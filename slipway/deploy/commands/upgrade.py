"""upgrade: restart the app's Postgres or Redis with the newest image of the name in production.toml."""

import argparse
import shlex
import sys

from ..agent.roles import SERVICES
from ..config import Fleet, Service
from ..errors import DeployError, Refused
from ..server import services
from ..ssh import service_images
from ..ssh.child import in_thread
from ..ssh.connection import run, who
from ..ssh.connections import locked
from ..ssh.gather import on_one
from ..ssh.validate import decoded

PULL, RESTART = 900, 400  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def handle(fleet: Fleet, args: argparse.Namespace) -> None:
    service = next((each for each in fleet.services if each.kind == args.service), None)
    if service is None:
        raise Refused(f"no host has the role {args.service}")
    running, newest, state = await versions(fleet, service)
    name = f"{service.host.name}: {service.kind} {running}"
    if state == "same":
        print(f"{name} is the newest {service.image}")
        return
    if not args.yes and not confirm(f"{name} becomes {newest}. The site has errors for some seconds. Upgrade? [y/N] "):
        raise Refused("nothing is changed; without a terminal, agree by --yes")
    print(f"{service.host.name}: {service.kind} {newest}, without an answer for {await upgrade(fleet, service)} s")


def confirm(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


async def versions(fleet: Fleet, service: Service) -> list[str]:
    """Let the host get the newest image. Return the running version, the image's, and "new" or "same"."""
    words = ["docker-service", "newest", services.container(fleet.app, service.kind)]
    if fleet.registry == "ssh":
        await on_one(service.host, send_newest(fleet, service), Refused)
        words.append("sent")
    done = await on_one(service.host, run(service.host, fleet.ssh, words, timeout=PULL), Refused)
    output = decoded(done.out).split()
    if done.code or len(output) != 3:
        raise Refused(f"{service.host.name}: {decoded(done.err)}")
    return output


async def send_newest(fleet: Fleet, service: Service) -> None:
    machine = await run(service.host, fleet.ssh, ["uname", "-m"], check=True)
    await in_thread(service_images.pull, service.image)
    await in_thread(service_images.send, service.image, service.host, fleet.ssh, decoded(machine.out))


async def upgrade(fleet: Fleet, service: Service) -> str:
    """Restart the service with the new image, under the host's lock. Return the seconds without an answer."""
    words = ["docker-service", "upgrade", services.container(fleet.app, service.kind)]
    async with locked(fleet, [service.host], who("upgrade"), bare=True) as hosts:
        command = hosts.connections[service.host.name].command(shlex.join(words), timeout=RESTART)
        done = await on_one(service.host, command)
    if done.code:
        raise DeployError(f"{service.host.name}: {decoded(done.err)}")
    return decoded(done.out)
