"""pyinfra's way to a host: the deployer's Connection, which is OpenSSH's client, an agent and the lock.

pyinfra works in a thread for each host, and the Connection belongs to the event loop. Once its lock has ended, the host
refuses whatever else comes over it.
"""

import asyncio
import io
import shlex
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, extract_control_arguments, make_unix_command

from ..process import Done
from .channels import Channel

TIMEOUT = 600  # seconds, where an operation says nothing else by _timeout
KEPT = 20  # lines of what a command says that failed
T = TypeVar("T")


class OverConnection(BaseConnector):
    """`channel` and `loop` are in the host's connector_data; `said` there is what the last command that failed has
    said."""

    handles_execution = True

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        yield name, {}, []

    # ---- what pyinfra calls ----

    def run_shell_command(self, command: Any, print_output: bool = False, print_input: bool = False,
                          **arguments: Any) -> tuple[bool, CommandOutput]:
        control = extract_control_arguments(arguments)
        done = self.command(make_unix_command(command, **arguments).get_raw_value(), stdin(control.get("_stdin")),
                            control.get("_timeout") or TIMEOUT)
        fine = done.code in (control.get("_success_exit_codes") or [0])
        if not fine:
            self.host.connector_data["said"] = last_words(done)
        return fine, CommandOutput([*(OutputLine("stdout", line) for line in lines(done.out)),
                                    *(OutputLine("stderr", line) for line in lines(done.err))])

    def put_file(self, filename_or_io: str | io.IOBase, remote_filename: str, remote_temp_filename: str | None = None,
                 print_output: bool = False, print_input: bool = False, **arguments: Any) -> bool:
        """Write a file whole. It keeps owner and mode; a new one is root's alone until its operation says more."""
        there = self.command(f"stat -L -c '%a %U %G' {shlex.quote(remote_filename)} 2>/dev/null || echo 600 root root")
        mode, user, group = there.out.decode().split()
        self.put(remote_filename, content_of(filename_or_io), int(mode, 8), user, group)
        return True

    def get_file(self, remote_filename: str, filename_or_io: str | io.IOBase, remote_temp_filename: str | None = None,
                 print_output: bool = False, print_input: bool = False, **arguments: Any) -> bool:
        raise NotImplementedError("files are not fetched from servers here")

    # ---- over the connection ----

    def command(self, script: str, input: bytes = b"", timeout: float = TIMEOUT) -> Done:
        return self._wait(self._channel.command(script, input, timeout))

    def put(self, path: str, content: bytes, mode: int, user: str, group: str) -> None:
        self._wait(self._channel.put(path, content, mode, user, group))

    @property
    def _channel(self) -> Channel:
        return self.host.connector_data["channel"]

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.host.connector_data["loop"]).result()


def stdin(given: Any) -> bytes:
    """What pyinfra's argument _stdin means: a text or its lines, each with its end."""
    texts = [given] if isinstance(given, str) else given or ()
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts).encode()


def content_of(file: str | Any) -> bytes:
    """The content of a file, by its name or as it is open."""
    if isinstance(file, str):
        with open(file, "rb") as opened:
            return opened.read()
    file.seek(0)
    content = file.read()
    return content.encode() if isinstance(content, str) else content


def lines(data: bytes) -> list[str]:
    """As pyinfra has them: without their ends."""
    return data.decode(errors="replace").removesuffix("\n").split("\n") if data else []


def last_words(done: Done) -> str:
    return "\n".join(lines((done.err or done.out).strip())[-KEPT:])
