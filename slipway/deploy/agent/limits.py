"""What keeps a deploy key within its bounds, besides requests.py: how much at once, and a line in the journal for what
it may not do. Of a deployer's key the gate knows the kind ("deploy" or "watch"; "" is an administrator's), and the
fingerprint, unless a certificate lets it in."""

from __future__ import annotations

import itertools
import json
import syslog
import threading
from collections.abc import Callable

from . import requests
from .host import Host, Problem

# Of the unit that holds the lock. Sessions without the lock share a slice: see server/keys.py.
OF_UNIT = {"MemoryMax": "512M", "TasksMax": 300}
AT_ONCE = 32  # requests that an agent with the lock works on at once
ASKED = 300  # characters of a refused request that are logged
LOGGED = 100  # refusals that an agent logs: a thief shall not push other lines out of the journal
# Arguments that may hold secrets.
SECRET = ("credentials", "script", "input", "content", "settings", "files", "reverted")
refusals = itertools.count()


def check(host: Host, kind: str, key: str, do: object, args: object) -> None:
    """Raise Problem unless a key of this kind may send the request. Of a deploy key, log the refusal."""
    try:
        requests.check(host, kind, do, args)
    except Problem as problem:
        if kind and next(refusals) < LOGGED:
            syslog.openlog(f"{host.app}-gate", 0, syslog.LOG_AUTHPRIV)
            syslog.syslog(syslog.LOG_WARNING, f"key {key or 'without a name'}: {line(problem, do, args)}")
        raise


def line(problem: Problem, do: object, args: object) -> str:
    """Return the problem and what was asked, without secrets, escaped and cut."""
    shown = {name: value for name, value in args.items() if name not in SECRET} if isinstance(args, dict) else args
    try:
        asked = json.dumps([do, shown])[:ASKED]
    except RecursionError:  # lists in lists
        asked = "too much"
    return f"{ascii(str(problem))[1:-1][:ASKED]}; it asked: {asked}"


class Threads:
    """Threads of which at most AT_ONCE run."""

    def __init__(self) -> None:
        self.places = threading.Semaphore(AT_ONCE)

    def start(self, function: Callable[[], object]) -> bool:
        """Call a function in a thread. Return False if too many run."""
        if not self.places.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, args=(function,), daemon=True).start()
        return True

    def _run(self, function: Callable[[], object]) -> None:
        try:
            function()
        finally:
            self.places.release()


def raise_busy() -> None:
    raise Problem(f"{AT_ONCE} requests at once are under way: ask again later")
