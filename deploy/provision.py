"""Makes servers of bare machines, and keeps them so: `python -m deploy provision`."""

import sys
import threading

from . import desired, probe
from .config import Host
from .errors import DeployError, HostProblem, Nonsense, Refused
from .lock import who
from .remote import HOLD, each, run, sessions


def provision(fleet, ssh, hosts, check=False, remove="", out=sys.stdout):
    """Bring `hosts` to what the fleet says, or take the app off the host `remove`; with `check` only say what would
    be done. Returns the number of changes. Raises Refused when nothing was done, DeployError when it failed midway."""
    apply = import_apply()
    hosts = [host_to_remove(fleet, remove)] if remove else hosts
    steps_of = desired.removal if remove else desired.steps
    found = each(hosts, lambda host: look(fleet, host, ssh, bool(remove)))
    steps = {host.name: steps_of(fleet, host, found[host.name]) for host in hosts}
    lock = None if check else (fleet.app, who("remove" if remove else "provision"))
    progress = Progress(out, check)
    with sessions(hosts, ssh, ["sh", "-c", HOLD], lock=lock, shared=True) as open_sessions:
        with apply.Run(open_sessions, check, progress).open() as running:
            try:
                each(hosts, lambda host: running.bring(host.name, steps[host.name]), Refused if check else DeployError)
            finally:
                total = progress.summary(hosts)
    return total


def import_apply():
    try:
        from . import apply
    except ModuleNotFoundError as error:
        raise Refused(f"provisioning needs {error.name}, which is not installed: run make provision") from None
    return apply


def host_to_remove(fleet, name):
    """The host of that name, or one that the file no longer knows, which then is its address too."""
    return next((host for host in fleet.hosts if name in (host.name, host.address)), Host(name, name))


def look(fleet, host, ssh, remove=False):
    """The Found of a host. Raises HostProblem when it cannot be reached or is not fit."""
    done = run(host, ssh, probe.words(fleet, remove))
    if done.returncode:
        raise HostProblem(*probe.failed(done))
    try:
        return probe.parse(done.stdout.decode(errors="replace"))
    except (ValueError, KeyError, RecursionError) as error:
        raise Nonsense(f"{type(error).__name__} in what the probe says") from None


class Progress:
    """Hears of every change, says at once what takes its time, and in the end all of them, each with its hosts."""

    def __init__(self, out, check):
        self.out, self.check, self.lock = out, check, threading.Lock()
        self.changes = {}  # what → host → how many came before on that host

    def begin(self, host, text):
        if not self.check:
            with self.lock:
                print(f"{host}: {text} …", file=self.out, flush=True)

    def changed(self, host, text):
        with self.lock:
            place = sum(host in places for places in self.changes.values())
            self.changes.setdefault(text, {})[host] = place

    def summary(self, hosts):
        """The report; the number of changes over all hosts."""
        would = "would " if self.check else ""
        for text, places in sorted(self.changes.items(), key=lambda change: (min(change[1].values()), change[0])):
            print(f"{', '.join(sorted(places))}: {would}{text}", file=self.out)
        counts = {host.name: sum(host.name in places for places in self.changes.values()) for host in hosts}
        total = sum(counts.values())
        each_host = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        print(f"{total} change{'s' * (total != 1)}{' to make' * self.check} ({each_host})", file=self.out, flush=True)
        return total
