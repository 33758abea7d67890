"""One run of pyinfra: when a call returns, its operation is done, or with --check decided."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyinfra.api.config import Config
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import BaseStateCallback, State, StateOperationHostData
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host, ctx_state

from ..errors import HostProblem
from ..ssh.connection import Connection
from .connector import OverConnection

FOLDER = Path(__file__).resolve().parents[1]


class Failed(PyinfraError):
    """A command for a fact has failed."""


class Now(State):
    """Runs operations as they are called."""

    is_executing = True

    def fail_hosts(self, hosts_to_fail: set[Host], activated_count: int | None = None) -> None:
        """Raise Failed: pyinfra would go on with an empty fact while there are other hosts."""
        if hosts_to_fail:
            raise Failed


class Check(Now):
    """Runs no operation, and takes each that would change something for done."""

    is_executing = False

    def set_op_data_for_host(self, host: Host, op_hash: str, op_data: StateOperationHostData) -> None:
        """Decide whether an operation would change something."""
        super().set_op_data_for_host(host, op_hash, op_data)
        asked = op_data.global_arguments["_if"] or []
        conditions = [asked] if callable(asked) else asked
        would = op_data.operation_meta.will_change and all(condition() for condition in conditions)
        op_data.operation_meta.set_complete(True, [op_hash] * would, CommandOutput([]))


class Announcer(BaseStateCallback):
    """Announces operations that take long: those with a `_timeout`."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self.say = say

    def operation_host_start(self, state: State, host: Host, op_hash: str) -> None:
        """Announce an operation, and forget the output of commands that failed before it."""
        host.connector_data["said"] = ""
        arguments = state.get_op_data_for_host(host, op_hash).global_arguments
        if arguments["_timeout"]:
            self.say(host.name, name_of(state, host, op_hash))


class Session:
    """One run on all hosts, each in a thread of its own. `say`: announces (host name, what takes long)."""

    def __init__(self, channels: Mapping[str, Connection], check: bool, say: Callable[[str, str], None]) -> None:
        logging.getLogger("pyinfra").setLevel(logging.CRITICAL + 1)  # HostProblems say it
        inventory = Inventory(([*channels], {}))
        for host in inventory:
            host.connector_cls = OverConnection
            host.connector_data.update(channel=channels[host.name], loop=asyncio.get_running_loop(), said="")
        self.state = Check(inventory, Config()) if check else Now(inventory, Config(), check_for_changes=False)
        self.state.callback_handlers.append(Announcer(say))
        for host in inventory:
            host.connected = True
            self.state.activate_host(host)

    def entered(self) -> contextlib.AbstractContextManager[Any]:
        """A block in which calls of operations belong to this run."""
        used: contextlib.AbstractContextManager[Any] = ctx_state.use(self.state)
        return used

    def work(self, name: str, recipe: Callable[..., None], *words: Any) -> None:
        """Call a recipe, which calls operations, for the host of that name. Raises HostProblem."""
        host = self.state.inventory.get_host(name)
        try:
            with ctx_host.use(host):
                recipe(*words)
        except (PyinfraError, HostProblem) as error:
            silent = isinstance(error, (NestedOperationError, Failed))  # the command that failed has said why
            said = host.connector_data["said"] or "it failed" if silent else str(error)
            raise HostProblem(": ".join(filter(None, [self.unfinished(host), said]))) from error
        except Exception as error:  # a mistake in our recipe or the team's, or pyinfra does not understand the host
            raise HostProblem(f"{place(error)}: {type(error).__name__}: {error}") from error

    def unfinished(self, host: Host) -> str:
        """The name of the last operation if it has failed, else ""."""
        operations = self.state.ops[host]
        last = next(reversed(operations), None)
        if last is None or operations[last].operation_meta.did_succeed(_raise_if_not_complete=False):
            return ""
        return name_of(self.state, host, last)

    def changes(self, name: str) -> list[str]:
        """The names of the operations that changed something on a host, or with --check would."""
        host = self.state.inventory.get_host(name)
        return [name_of(self.state, host, op_hash) for op_hash, data in [*self.state.ops[host].items()]
                if data.operation_meta.is_complete() and data.operation_meta.did_change()]


def place(error: Exception) -> str:
    """The last line below deploy/ in the traceback of an error: "deploy/file.py, line 3"."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if FOLDER in Path(frame.filename).parents]
    return f"{Path(frames[-1].filename).relative_to(FOLDER.parent)}, line {frames[-1].lineno}"


def name_of(state: State, host: Host, op_hash: str) -> str:
    """The name of an operation on a host: as the recipe gave it, else pyinfra's."""
    named: Any = state.get_op_data_for_host(host, op_hash).global_arguments["name"]
    return named or ", ".join(sorted(state.get_op_meta(op_hash).names))
