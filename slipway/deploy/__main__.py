"""The deployer's command line: `python -m slipway.deploy COMMAND`. The one place that catches errors."""

import sys

if sys.version_info < (3, 11):
    sys.exit("deploy: Python {}.{} is too old, 3.11 or newer is needed: make PYTHON=...".format(*sys.version_info))

import argparse  # noqa: E402
import asyncio  # noqa: E402
import functools  # noqa: E402
import importlib  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from dataclasses import replace  # noqa: E402
from typing import cast  # noqa: E402

from . import config  # noqa: E402
from .config.ssh import Ssh  # noqa: E402
from .engine import engine_of  # noqa: E402
from .errors import DeployError, Interrupted, Refused  # noqa: E402
from .screen.display import put  # noqa: E402
from .ssh.interrupts import heeding  # noqa: E402
from .ssh.validate import visible  # noqa: E402

COMMANDS = {  # name of a module in commands/ → help
    "config": "the configuration: is it right, and what does it say",
    "provision": "make servers of bare machines, and keep them so",
    "plan": "what a deploy would do",
    "deploy": "bring a release to all servers, or take it back",
    "rollback": "go back to the previous release, everywhere",
    "status": "what runs where, and what is not as it should be",
    "releases": "what ran when, by whom, and what became of it",
    "logs": "what web, worker, beat and processes of your own log",
    "run": "a one-off command on a host, in the release that is live",
    "watch": "whether enough hosts are up and have room; alerts by a hook",
    "drain": "balancers send a web host no visitors, or some again",
    "env": "settings and secrets: staged here, live with the next deploy",
}


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Only the module of the command that is typed is loaded."""
    main = argparse.ArgumentParser(
        prog="deploy", description="Operates the servers of a project.", formatter_class=argparse.RawTextHelpFormatter,
        epilog="commands:\n" + "\n".join(f"  {name:11} {text}" for name, text in COMMANDS.items()))
    main.set_defaults(verbose=False, config="", ssh_config=os.environ.get("SSH_CONFIG", ""), hosts="")
    add_common(main)
    main.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    main.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="COMMAND --help tells what it takes")
    args = main.parse_args(words)
    command = argparse.ArgumentParser(prog=f"deploy {args.command}", description=COMMANDS[args.command])
    add_common(command)
    module = importlib.import_module(f".commands.{args.command}", __package__)
    module.add_arguments(command)
    return command.parse_args(args.rest, argparse.Namespace(**vars(args), handle=module.handle))


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes, before its name or after it."""
    add = functools.partial(parser.add_argument, default=argparse.SUPPRESS)
    add("-v", "--verbose", action="store_true", help="show the traceback of an error")
    add("--config", metavar="FILE", help="default: deploy/$ENV.toml, ENV being production")
    add("--ssh-config", metavar="FILE", help="instead of your own; also by SSH_CONFIG")
    add("--hosts", metavar="A,B", help="only these hosts")


def handle(args: argparse.Namespace) -> int:
    """Do what is asked for; the exit code."""
    fleet = config.find(os.environ, args.config)
    engine_of(fleet).refuse(args)
    if args.command != "config" and not shutil.which("ssh"):
        raise Refused("there is no ssh on this machine: install OpenSSH's client")
    return asyncio.run(heeding(args.handle(replace(fleet, ssh=Ssh(args.ssh_config)), args))) or 0


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    args = argparse.Namespace(verbose=False)
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(errors="backslashreplace")  # whatever the terminal's encoding lacks
    try:
        args = parse(words)
        return handle(args)
    except (Interrupted, KeyboardInterrupt):
        put("deploy: interrupted", sys.stderr)
        return Interrupted.exit_code
    except DeployError as error:
        if args.verbose:
            put(visible(traceback.format_exc()), sys.stderr)
        put("\n".join(f"deploy: {line}" for line in visible(str(error)).split("\n")), sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    sys.exit(main())
