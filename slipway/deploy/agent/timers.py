"""Commands by the clock, which timers of systemd start: deploys do not know them."""

from __future__ import annotations

import re

from . import disk
from .host import UNITS, Host, is_up
from .shapes import UnitFacts


def schedules(host: Host) -> dict[str, str]:
    """Return role → schedule, read from the timers that provisioning wrote."""
    folder = host.root + UNITS
    ours = r"# Goes to \S+/%s-([a-z0-9]+)\.timer .*^OnCalendar=([^\n]*)" % re.escape(host.app)
    texts = [disk.read("%s/%s" % (folder, name)) or "" for name in disk.entries(folder) if name.endswith(".timer")]
    return {found[1]: found[2] for found in (re.match(ours, text, re.M | re.S) for text in texts) if found}


def state(host: Host, role: str, schedule: str) -> UnitFacts:
    """Return the state of a command. `health`: what is wrong with it, or ""."""
    service, timer = host.states(host.unit(role), "%s-%s.timer" % (host.app, role)).values()
    wrong, began = "", "--base-time=" + service.get("ActiveEnterTimestamp", "")
    if timer.get("ActiveState") != "active":
        wrong = "overdue, as its timer is %s" % timer.get("ActiveState")
    elif service.get("ActiveState") == "failed":
        wrong = service.get("Result", "")
    elif is_up(service):
        due = host.call("systemd-analyze", "calendar", began, schedule, check=False).stdout
        wrong = "overdue, as it still runs" if re.search(r"From now: .* ago$", due, re.M) else ""
    return {"state": service.get("ActiveState"), "restarts": None, "since": timer.get("LastTriggerUSec"),
            "health": wrong}
