"""The app's processes, as their units on this host describe them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

SERVICES = ("postgres", "redis")  # roles of hosts that are no processes of the app
READY_FILE = "/dev/shm/ready"  # a process that the team added creates this file in its container when ready


class Process:
    """A process of the app. `overlap`: True if it runs in slots. `ready`: the check, see steps/probes.py. `stop`:
    seconds until a stop kills the process. `options`, `ports`: for `docker run`; {} in `options` is the app's name.
    `schedule`: when a timer runs it; all other processes run always."""

    def __init__(
        self,
        name: str,
        command: str,
        overlap: bool,
        ready: str,
        stop: int = 60,
        options: str = "-e READY_FILE=" + READY_FILE,
        ports: Sequence[str] = (),
        schedule: str = "",
    ) -> None:
        self.name = name
        self.command = command
        self.overlap = overlap
        self.ready = ready
        self.stop = stop
        self.options = options
        self.ports = ports
        self.schedule = schedule

    @property
    def stays(self) -> bool:
        """Return True if the old slot keeps this process running after a flip, ready for a rollback."""
        return self.name in BUILT_IN and self.overlap


BUILT_IN = {
    process.name: process
    for process in (  # listed in this order, before the team's own processes
        Process("web", "run", True, "web", 60, "-e SOCKET=/run/{}/%i/web.sock"),
        Process("worker", "worker", True, "worker", 660, "-e READY_FILE=/run/{}/%i/worker.ready"),
        Process("beat", "beat", False, "healthcheck beat", 10, ""),
    )
}


def match_unit(app: str, file: str) -> re.Match[str] | None:
    """Return a match if `file` is named like a process's unit. Group 1: role; group 2: "@" if the role has slots."""
    return re.fullmatch(rf"{re.escape(app)}-([a-z][a-z0-9]*)(@?)\.service", file)


def processes_in(app: str, units: Mapping[str, str]) -> dict[str, Process]:
    processes = {}
    for file, text in units.items():
        name = match_unit(app, file)
        # Ignore a unit with such a name (APP-backup) that does not start docker-runner. docker-slot has the same rule.
        runner = rf"^ExecStart=/usr/local/bin/docker-runner --unit {re.escape(app)}-\S+ --slot "
        if name and re.search(runner, text, re.M):
            ready = re.search(r"^Ready=(.*)$", text, re.M)
            processes[name[1]] = BUILT_IN.get(name[1]) or Process(name[1], "", bool(name[2]), ready[1] if ready else "")
    return {role: processes[role] for role in [*BUILT_IN, *sorted(processes.keys() - BUILT_IN)] if role in processes}
