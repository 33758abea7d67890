"""Runs pyinfra's operations, each when it is called. With --check, lists the operations that would change something."""

import asyncio
import contextlib
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pyinfra.api.config import Config
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import BaseStateCallback, State, StateOperationHostData
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host, ctx_state

from ..config import folder
from ..errors import HostProblem
from ..ssh.connection import Connection
from .connector import OverConnection


class Now(State):
    """A pyinfra State that runs each operation when it is called."""

    is_executing = True

    def fail_hosts(self, hosts_to_fail: set[Host], activated_count: int | None = None) -> None:
        """Raise pyinfra's error for a failed command: otherwise pyinfra would continue with an empty fact."""
        if hosts_to_fail:
            raise NestedOperationError


class Check(Now):
    """A pyinfra State that runs no operation, but records which operations would change something."""

    is_executing = False

    def set_op_data_for_host(self, host: Host, op_hash: str, op_data: StateOperationHostData) -> None:
        super().set_op_data_for_host(host, op_hash, op_data)
        asked = op_data.global_arguments["_if"] or []
        conditions = [asked] if callable(asked) else asked
        would = op_data.operation_meta.will_change and all(condition() for condition in conditions)
        op_data.operation_meta.set_complete(True, [op_hash] if would else [], CommandOutput([]))


class Announcer(BaseStateCallback):
    """Announces operations that have a `_timeout`, because they are slow. While any operation takes long, the connector
    calls its `waits` from time to time."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self.say = say

    def operation_host_start(self, state: State, host: Host, op_hash: str) -> None:
        """Forget the output of earlier failed commands; announce a slow operation."""
        name = name_of(state, host, op_hash)
        host.connector_data.update(output="", waits=lambda seconds: self.say(host.name, f"{name}, {seconds:.0f} s"))
        if state.get_op_data_for_host(host, op_hash).global_arguments["_timeout"]:
            self.say(host.name, name)

    def operation_host_success(self, state: State, host: Host, op_hash: str, retry_count: int = 0) -> None:
        host.connector_data["waits"] = partial(self.waits_for_facts, host)

    def waits_for_facts(self, host: Host, seconds: float) -> None:
        self.say(host.name, f"look at the server, {seconds:.0f} s")


class Session:
    """A run on all hosts, with a thread for each host. `say(host name, operation)` announces a slow operation."""

    def __init__(self, channels: Mapping[str, Connection], check: bool, say: Callable[[str, str], None]) -> None:
        logging.getLogger("pyinfra").setLevel(logging.CRITICAL + 1)  # HostProblem reports the errors instead
        announcer = Announcer(say)
        inventory = Inventory(([*channels], {}))
        for host in inventory:
            host.connector_cls = OverConnection
            host.connector_data.update(channel=channels[host.name], loop=asyncio.get_running_loop(), output="")
            host.connector_data["waits"] = partial(announcer.waits_for_facts, host)
        self.state = Check(inventory, Config()) if check else Now(inventory, Config(), check_for_changes=False)
        self.state.callback_handlers.append(announcer)
        for host in inventory:
            host.connected = True
            self.state.activate_host(host)

    def entered(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context manager. Inside its `with` block, pyinfra's operations use this session."""
        used: contextlib.AbstractContextManager[Any] = ctx_state.use(self.state)
        return used

    def work(self, name: str, recipe: Callable[..., None], *words: Any) -> None:
        host = self.state.inventory.get_host(name)
        try:
            with ctx_host.use(host):
                recipe(*words)
        except (PyinfraError, HostProblem) as error:
            silent = isinstance(error, NestedOperationError)  # without a text: take the command's output
            cause = host.connector_data["output"] or "it failed" if silent else str(error)
            raise HostProblem(": ".join(filter(None, [self.unfinished(host), cause]))) from error
        except Exception as error:  # a bug in a recipe, ours or the team's; or pyinfra cannot handle the host
            raise HostProblem(f"{place(error)}: {type(error).__name__}: {error}") from error

    def unfinished(self, host: Host) -> str:
        operations = self.state.ops[host]
        last = next(reversed(operations), None)
        if last is None or operations[last].operation_meta.did_succeed(_raise_if_not_complete=False):
            return ""
        return name_of(self.state, host, last)

    def changes(self, name: str) -> list[str]:
        host = self.state.inventory.get_host(name)
        return [
            name_of(self.state, host, op_hash)
            for op_hash, data in [*self.state.ops[host].items()]
            if data.operation_meta.is_complete() and data.operation_meta.did_change()
        ]


def place(error: Exception) -> str:
    """Return the last place in the package's or the team's code."""
    team, places = os.path.realpath(folder(os.environ)), []
    for frame, line in traceback.walk_tb(error.__traceback__):
        name, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if name.startswith("slipway.deploy."):
            places.append(f"{name.replace('.', '/')}.py, line {line}")
        elif file.startswith(team + os.sep):
            places.append(f"{os.path.relpath(file)}, line {line}")
    return places[-1]


def name_of(state: State, host: Host, op_hash: str) -> str:
    named: Any = state.get_op_data_for_host(host, op_hash).global_arguments["name"]
    return named or ", ".join(sorted(state.get_op_meta(op_hash).names))
