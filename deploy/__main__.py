"""The deployer's command line: `python -m deploy COMMAND`. The one place that catches errors.

A command is a function here that takes the parsed arguments and returns an exit code, or nothing for 0, or what is to
be awaited for that, with the function that adds its arguments: see COMMANDS.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("deploy: Python {}.{} is too old, 3.11 or newer is needed: make PYTHON=...".format(*sys.version_info))

import argparse  # noqa: E402
import asyncio  # noqa: E402
import functools  # noqa: E402
import inspect  # noqa: E402
import io  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Coroutine, Sequence  # noqa: E402
from typing import Any, cast  # noqa: E402

from . import config  # noqa: E402
from .answers import visible  # noqa: E402
from .display import put  # noqa: E402
from .errors import DeployError, Interrupted, Refused  # noqa: E402
from .interrupts import heeding  # noqa: E402
from .ssh import Ssh  # noqa: E402

Outcome = Coroutine[Any, Any, int | None] | int | None
Do = Callable[[argparse.Namespace], Outcome]


def do_config(args: argparse.Namespace) -> Outcome:
    fleet = load(args)
    roles = "\n".join(f"  {host.name:12} {host.address:24} {' '.join(host.roles)}{' balancer' * host.balancer}"
                      for host in fleet.hosts)
    print(f"{fleet.app}, image {fleet.image}\n{roles}")
    return 0


async def do_provision(args: argparse.Namespace) -> int:
    from .provisioning.command import provision
    fleet = load(args)
    changes = await provision(fleet, reach(args), fleet.chosen(args.hosts, balancers=True), args.check, args.remove)
    return 1 if args.check and changes else 0


def do_env(args: argparse.Namespace) -> Outcome:
    from . import env
    fleet = load(args)
    return env.run(fleet, reach(args), fleet.chosen(args.hosts), args)


def do_plan(args: argparse.Namespace) -> Outcome:
    from . import commands
    return commands.plan(load(args), reach(args), args)


def do_deploy(args: argparse.Namespace) -> Outcome:
    from . import commands
    return commands.deploy(load(args), reach(args), args)


def do_rollback(args: argparse.Namespace) -> Outcome:
    from . import commands
    return commands.rollback(load(args), reach(args), args)


def do_look(name: str) -> Do:
    """status, releases, logs or prune: what goes to all hosts of the app."""
    def do(args: argparse.Namespace) -> Outcome:
        from . import look
        fleet, function = load(args), cast(Callable[..., Outcome], getattr(look, name))
        return function(fleet, reach(args), fleet.chosen(args.hosts), args)
    return do


def do_run(args: argparse.Namespace) -> Outcome:
    from . import look
    return look.run_command(load(args), reach(args), args)


def config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["check"], help="check: show the hosts, or all that is wrong")


def provision_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing, say what would be; exit 1 if anything")
    parser.add_argument("--remove", metavar="HOST", default="", help="take the app off this host; data stays")


def env_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("set", help="stage values, read as NAME=value lines from stdin, or asked in an editor")
    add.add_argument("names", nargs="*", metavar="NAME")
    remove = actions.add_parser("unset", help="stage the removal of settings")
    remove.add_argument("names", nargs="+", metavar="NAME")
    actions.add_parser("list", help="names of settings, and what is staged; never a value")
    file = actions.add_parser("set-file", help="stage a value of several lines; the app reads NAME_FILE")
    file.add_argument("name", metavar="NAME")
    file.add_argument("file", metavar="FILE", help="- is stdin")


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="TAG", help="the release to deploy, a tag of the image")
    rollout_arguments(parser)


def deploy_arguments(parser: argparse.ArgumentParser) -> None:
    plan_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    watched_arguments(parser)


def rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="TAG", default="", help="to this release instead of the one before")
    any_arguments(parser)
    watched_arguments(parser)


def rollout_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parallel", type=int, default=0, metavar="N", help="hosts that change over at once")
    parser.add_argument("--no-bake", action="store_true", help="commit without watching the release first")
    parser.add_argument("--allow-dirty", action="store_true", help="even an image of what no commit holds")
    any_arguments(parser)


def any_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip-unreachable", action="store_true", help="go on without hosts that can't be reached")
    parser.add_argument("--allow-incompatible", action="store_true",
                        help="even with migrations with which the older release cannot work")


def watched_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="for a lock that somebody else holds")
    parser.add_argument("--json", action="store_true", help="every event as a line of JSON")
    parser.add_argument("--timings", action="store_true", help="in the end the seconds a step and host")


def json_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines")


def logs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="of each host (100)")
    parser.add_argument("--role", choices=["web", "worker", "beat"], default="", help="only this one's")
    parser.add_argument("--since", default="", metavar="TIME", help="as journalctl takes it: '1 hour ago'")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="as docker-run.sh takes it")


# name → what it does, its arguments, help
COMMANDS: dict[str, tuple[Do, Callable[[argparse.ArgumentParser], None] | None, str]] = {
    "config": (do_config, config_arguments, "the configuration: is it right, and what does it say"),
    "provision": (do_provision, provision_arguments, "make servers of bare machines, and keep them so"),
    "plan": (do_plan, plan_arguments, "what a deploy would do"),
    "deploy": (do_deploy, deploy_arguments, "bring a release to all servers, or take it back"),
    "rollback": (do_rollback, rollback_arguments, "bring the release before back, everywhere"),
    "status": (do_look("show_status"), json_arguments, "what runs where, and what is not as it should be"),
    "releases": (do_look("show_releases"), json_arguments, "what ran when, by whom, and what became of it"),
    "logs": (do_look("show_logs"), logs_arguments, "what web, worker and beat log"),
    "run": (do_run, run_arguments, "a one-off command on a host, in the release that is live"),
    "prune": (do_look("prune"), None, "remove images that nothing needs any more"),
    "env": (do_env, env_arguments, "settings and secrets: staged here, live with the next deploy"),
}


def load(args: argparse.Namespace) -> config.Fleet:
    return config.find(os.environ, args.config)


def reach(args: argparse.Namespace) -> Ssh:
    if not shutil.which("ssh"):
        raise Refused("there is no ssh on this machine: install OpenSSH's client")
    return Ssh(args.ssh_config)


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(prog="deploy", description="Operates the servers of a project.")
    main.set_defaults(verbose=False, config="", ssh_config=os.environ.get("SSH_CONFIG", ""), hosts="")
    common_arguments(main)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (do, add_arguments, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(do=do)
        common_arguments(command)
        if add_arguments:
            add_arguments(command)
    return main


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command takes, before its name or after it."""
    add = functools.partial(parser.add_argument, default=argparse.SUPPRESS)
    add("-v", "--verbose", action="store_true", help="show the traceback of an error")
    add("--config", metavar="FILE", help="default: deploy/$ENV.toml, ENV being production")
    add("--ssh-config", metavar="FILE", help="instead of your own; also by SSH_CONFIG")
    add("--hosts", metavar="A,B", help="only these hosts")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    args = parser().parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        cast(io.TextIOWrapper, stream).reconfigure(errors="backslashreplace")  # whatever the terminal's encoding lacks
    try:
        done = args.do(args)
        return (asyncio.run(heeding(done)) if inspect.iscoroutine(done) else done) or 0
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
