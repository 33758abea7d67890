"""The deployer's command line."""

import sys

if sys.version_info < (3, 11):
    sys.exit("slipway: Python {}.{} is too old, 3.11 or newer is needed: make PYTHON=...".format(*sys.version_info))

import argparse  # noqa: E402
import asyncio  # noqa: E402
import functools  # noqa: E402
import importlib  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import cast  # noqa: E402

from . import config  # noqa: E402
from .config.ssh import Ssh, account  # noqa: E402
from .engine import engine_of  # noqa: E402
from .errors import DeployError, Interrupted, Refused  # noqa: E402
from .log.search import join_values  # noqa: E402
from .screen.display import put  # noqa: E402
from .screen.overview import overview  # noqa: E402
from .ssh.interrupts import run_interruptible  # noqa: E402
from .ssh.validate import visible  # noqa: E402

GROUPS = {  # name of a module in commands/ → its help text
    "Releases": {
        "plan": "show what a deploy would do",
        "deploy": "bring a release to all servers; take it back if it fails",
        "rollback": "go back to the previous release on all servers",
        "releases": "show past releases: when, by whom, and their outcome",
    },
    "What runs": {
        "status": "show what runs where, and all problems",
        "logs": "show the logs of web, worker, beat and your own processes",
        "errors": "show what has failed since the live release, in groups",
        "view": "show all this on a page, on this machine",
        "watch": "check that enough hosts are up and no disk is too full; else run a hook",
        "run": "run a one-off command on a host, in the live release",
        "dbshell": "run psql in the database that provisioning set up",
    },
    "Data": {
        "backup": "back up the database now; --password: keep the repository's password elsewhere",
        "backups": "list what can be brought back",
        "restore": "bring back the database, as it was at a time or at a release",
        "drill": "restore the newest backup into a copy that is thrown away",
        "dump": "bring a dump of the database here",
    },
    "Servers": {
        "config": "check the configuration and list its hosts",
        "provision": "set up servers, and keep them up to date",
        "upgrade": "bring Postgres or Redis to the newest image of its name",
        "env": "list settings and secrets, or stage changes for the next deploy",
        "unlock": "break the lock of a host, whoever holds it; its deploy is taken back",
        "drain": "stop sending visitors to a web host, or resume",
        "maintenance": "show visitors the maintenance page (on), or the site (off)",
    },
}
# Not even tried with a deploy key, whose agent would refuse them.
ADMINISTRATORS = {*GROUPS["Data"], *GROUPS["Servers"], "run", "dbshell"} - {"config"}
COMMANDS = {name: text for commands in GROUPS.values() for name, text in commands.items()}


class Main(argparse.ArgumentParser):
    """Reads the folder's .mk files for the help alone, not for each command."""

    def format_help(self) -> str:
        self.epilog = overview(GROUPS, Path())
        return super().format_help()


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. To save time, import only the given command's module."""
    main = Main(
        prog="slipway",
        usage="slipway [--config FILE] [--ssh-config FILE] [--hosts A,B] COMMAND ...",
        description="Deploy a project to its servers, and operate them.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    main.set_defaults(config="", ssh_config=os.environ.get("SSH_CONFIG", ""), hosts="")
    add_common(main)
    main.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of these; COMMAND --help tells more")
    main.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = main.parse_args(words)
    command = argparse.ArgumentParser(prog=f"slipway {args.command}", description=COMMANDS[args.command])
    add_common(command)
    module = importlib.import_module(f".commands.{args.command}", __package__)
    module.add_arguments(command)
    return command.parse_args(join_values(args.rest), argparse.Namespace(**vars(args), handle=module.handle))


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has. They may stand before or after the command's name."""
    add = functools.partial(parser.add_argument, default=argparse.SUPPRESS)
    add("--config", metavar="FILE", help="the configuration; default: HOSTS etc., else $DEPLOY_FOLDER/$ENV.toml")
    add("--ssh-config", metavar="FILE", help="use this ssh_config, not your own; default: $SSH_CONFIG")
    add("--hosts", metavar="A,B", help="only these hosts")


def handle(args: argparse.Namespace) -> int:
    fleet = config.find(os.environ, args.config)
    engine_of(fleet).refuse(args)
    if args.command != "config" and not shutil.which("ssh"):
        raise Refused("ssh is not on this machine: install the OpenSSH client")
    user = os.environ.get("DEPLOY_USER", "")
    if user == account(fleet.app) and args.command in ADMINISTRATORS:
        raise Refused(f"{args.command} needs an administrator's key: unset DEPLOY_USER, and use yours")
    ssh = Ssh(args.ssh_config, user)
    return asyncio.run(run_interruptible(args.handle(replace(fleet, ssh=ssh), args))) or 0


def main(words: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(errors="backslashreplace")  # for terminals without UTF-8
    try:
        return handle(parse(words))
    except (Interrupted, KeyboardInterrupt):
        put("slipway: interrupted", sys.stderr)
        return Interrupted.exit_code
    except DeployError as error:
        put("\n".join(f"slipway: {line}" for line in visible(str(error)).split("\n")), sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
