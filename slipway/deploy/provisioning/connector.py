"""Lets pyinfra, with a thread per host, run commands over connections, which belong to the event loop's thread."""

import asyncio
import shlex
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import wait
from typing import Any, TypeVar

from pyinfra.api.command import StringCommand
from pyinfra.api.util import get_file_io
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, extract_control_arguments, make_unix_command_for_host

from ..ssh.child import Done
from ..ssh.connection import Connection

NOTE = 15  # seconds of silence after which a line tells what a host does
TIMEOUT = 600  # seconds that a command may take, unless it has a _timeout
KEPT = 20  # lines that are kept of a failed command's output
T = TypeVar("T")


class OverConnection(BaseConnector):
    """A pyinfra connector. connector_data has a Connection `channel`, its `loop`, `output`: that of a failure, and
    `waits`, to call with the seconds that something has taken so far."""

    handles_execution = True

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield name, {}, []

    # ---- called by pyinfra ----

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        control = extract_control_arguments(arguments)
        script = make_unix_command_for_host(self.state, self.host, command, **arguments).get_raw_value()
        done = self.command(script, stdin(control.get("_stdin")), control.get("_timeout") or TIMEOUT)
        return done.code in [*(control.get("_success_exit_codes") or [0])], CommandOutput(
            [
                *(OutputLine("stdout", line) for line in lines(done.out)),
                *(OutputLine("stderr", line) for line in lines(done.err)),
            ]
        )

    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        """Write a file atomically. An existing file keeps owner and mode; a new one belongs to root, with mode 600."""
        owner = self.command(f"stat -L -c '%a %U %G' {shlex.quote(remote_filename)} 2>/dev/null || echo 600 root root")
        mode, user, group = owner.out.decode().split()
        with get_file_io(filename_or_io, "rb") as file:
            self.put(remote_filename, file.read(), int(mode, 8), user, group)
        return True

    def get_file(
        self,
        remote_filename: str,
        filename_or_io: Any,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> bool:
        done = self.command(f"cat {shlex.quote(remote_filename)}")
        with get_file_io(filename_or_io, "wb") as file:
            file.write(done.out)
        return done.code == 0

    # ---- over the connection ----

    def command(self, script: str, input: bytes = b"", timeout: float = TIMEOUT) -> Done:
        done = self._wait(lambda channel: channel.command(script, input, timeout))
        if done.code:
            self.host.connector_data["output"] = "\n".join(lines((done.err or done.out).strip())[-KEPT:])
        return done

    def put(self, path: str, content: bytes, mode: int, user: str, group: str) -> None:
        self._wait(lambda channel: channel.put(path, content, mode, user, group))

    def _wait(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the work. Every NOTE seconds tell that it goes on."""
        data = self.host.connector_data
        began = time.monotonic()
        future = asyncio.run_coroutine_threadsafe(work(data["channel"]), data["loop"])
        while not wait([future], NOTE).done:
            data["waits"](time.monotonic() - began)
        return future.result()


def stdin(given: Any) -> bytes:
    texts = [given] if isinstance(given, str) else given or ()
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts).encode()


def lines(data: bytes) -> list[str]:
    return data.decode(errors="replace").removesuffix("\n").split("\n") if data else []
