"""Print what completes the words of `slipway` in a shell: `completion bash` or `completion zsh`."""

import argparse
import importlib
import sys

from slipway.deploy.__main__ import COMMANDS, add_common


def parser() -> argparse.ArgumentParser:
    """Return a parser of all commands, which the deployer itself imports one by one."""
    main = argparse.ArgumentParser(prog="slipway")
    add_common(main)
    commands = main.add_subparsers(metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        add_common(command)
        importlib.import_module(f"slipway.deploy.commands.{name}").add_arguments(command)
    return main


if __name__ == "__main__":
    if sys.argv[1:] not in (["bash"], ["zsh"]):
        sys.exit("completion: name the shell, bash or zsh")
    try:
        import shtab
    except ImportError:
        sys.exit("completion: shtab is not installed: uv add --dev shtab, then make ve")
    print(shtab.complete(parser(), shell=sys.argv[1]))
