"""Commands by the clock, which timers of systemd start: deploys do not know them."""

from __future__ import annotations

import re
import time

from . import disk
from .host import UNITS, Host, is_up, last_output
from .message_types import Properties, UnitFacts

NO_COMMAND = "127"  # exit code of docker-run.sh (by the clock) and manage.py if the release does not have the command


def schedules(host: Host) -> dict[str, str]:
    """Return role → schedule, read from the timers that provisioning wrote."""
    folder = host.root + UNITS
    ours = rf"# Goes to \S+/{re.escape(host.app)}-([a-z0-9]+)\.timer .*^OnCalendar=([^\n]*)"
    texts = [disk.read(f"{folder}/{name}") or "" for name in disk.list_folder(folder) if name.endswith(".timer")]
    return {match[1]: match[2] for match in (re.match(ours, text, re.M | re.S) for text in texts) if match}


def state(host: Host, role: str, schedule: str) -> UnitFacts:
    """Return the state of a command. `health`: what is wrong with it, or ""."""
    service, timer = host.states(host.unit(role), f"{host.app}-{role}.timer").values()
    wrong = ""
    if timer.get("ActiveState") != "active":
        wrong = f"overdue, as its timer is {timer.get('ActiveState')}"
    elif service.get("ActiveState") == "failed":
        wrong = service.get("Result", "")
    elif is_up(service):
        wrong = overdue(host, service, schedule)
    shown = service.get("ActiveState")
    if service.get("ExecMainStatus") == NO_COMMAND and not is_up(service):
        shown = "not in release"
    last_run = timer.get("LastTriggerUSec")
    due = timer.get("NextElapseUSecRealtime", "")
    return {"state": shown, "restarts": None, "since": last_run, "health": wrong, "next": due}


def overdue(host: Host, service: Properties, schedule: str) -> str:
    """Return "overdue, as it still runs" if the schedule was due again since the service began, else "". systemd gets
    a number: version 252 misreads its own times in zones such as CET."""
    began = time.time() - time.monotonic() + int(service.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    done = host.call("systemd-analyze", "calendar", f"--base-time=@{int(began)}", schedule, check=False)
    if done.returncode:
        return "overdue or not is unknown: " + last_output(done.stderr, done.returncode)
    return "overdue, as it still runs" if re.search(r"From now: .* ago$", done.stdout, re.M) else ""
