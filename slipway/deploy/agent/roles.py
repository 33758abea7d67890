"""What runs of an app, for the deployer and the agent. Each process is a role: a host that has it runs it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

READY_FILE = "/dev/shm/ready"  # in the container of a team's process


class Process:
    """`command`: as docker-run.sh takes it; `overlap`: it runs in slots; `ready`: how it shows that it works
    (steps/probes.py); `stop`: seconds to end; `options`: docker's, with {} for the app; `ports`: as docker publishes
    them."""

    def __init__(self, name: str, command: str, overlap: bool, ready: str, stop: int = 60,
                 options: str = "-e READY_FILE=" + READY_FILE, ports: Sequence[str] = ()) -> None:
        self.name, self.command, self.overlap, self.ready = name, command, overlap, ready
        self.stop, self.options, self.ports = stop, options, ports

    @property
    def stays(self) -> bool:
        """Whether it runs on in the old slot, for a rollback: it knows that others have its work now."""
        return self.name in BUILT_IN and self.overlap


BUILT_IN = {process.name: process for process in (  # in this order; those of [process.NAME] come after
    Process("web", "run", True, "web", 60, "-e SOCKET=/run/{}/%i/web.sock"),
    Process("worker", "worker", True, "worker", 660, "-e READY_FILE=/run/{}/%i/worker.ready"),
    Process("beat", "beat", False, "healthcheck beat", 10, ""))}


def unit_of(app: str, file: str) -> re.Match[str] | None:
    """What a unit's file name says: its role, and @ where it runs in slots; None where it may be none of the app's."""
    return re.fullmatch(r"%s-([a-z][a-z0-9]*)(@?)\.service" % re.escape(app), file)


def processes_in(app: str, units: Mapping[str, str]) -> dict[str, Process]:
    """Role → process, of the units' files: name → text."""
    found = {}
    for file, text in units.items():
        name = unit_of(app, file)
        # As docker-slot finds them: a team may have units of other names, and with docker-runner, too.
        runner = r"^ExecStart=/usr/local/bin/docker-runner --unit %s-\S+ --slot " % re.escape(app)
        if name and re.search(runner, text, re.M):
            ready = re.search(r"^Ready=(.*)$", text, re.M)
            found[name[1]] = BUILT_IN.get(name[1]) or Process(name[1], "", bool(name[2]), ready[1] if ready else "")
    return {role: found[role] for role in [*BUILT_IN, *sorted(found.keys() - BUILT_IN)] if role in found}
