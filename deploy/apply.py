"""Brings a host to where its steps say. pyinfra finds out what is missing and does it, over a Session, as root."""

import contextlib
import logging
import shlex
from io import BytesIO

from pyinfra.api import Config, FileUploadCommand, Inventory, State, operation
from pyinfra.api.exceptions import PyinfraError
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command
from pyinfra.context import ctx_host, ctx_state
from pyinfra.operations import apt, files, server, systemd

from . import things
from .errors import HostProblem
from .site import swap, trial
from .tree import parse, paths_of, script, settled, unsettled

CONTROL = ("_success_exit_codes", "_timeout", "_get_pty", "_stdin")
TIMEOUT = 1000  # seconds; a worker may finish its task
SETTINGS = "umask 022; export LC_ALL=C DEBIAN_FRONTEND=noninteractive\n"


class OverSession(BaseConnector):
    """Runs pyinfra's commands over a Session, and keeps what the last that failed has said."""

    handles_execution = True

    @staticmethod
    def make_names_data(name):
        yield name, {}, []

    @property
    def session(self):
        return self.host.connector_data["session"]

    def run_shell_command(self, command, print_output=False, print_input=False, **arguments):
        arguments = {key: value for key, value in arguments.items() if key not in CONTROL}
        return self._run(make_unix_command(command, **arguments).get_raw_value())

    def put_file(self, filename_or_io, remote_filename, remote_temp_filename=None, print_output=False,
                 print_input=False, **arguments):
        filename_or_io.seek(0)
        script = f"umask 077 && cat >{shlex.quote(remote_filename)}"
        return self._run(script, filename_or_io.read())[0]

    def get_file(self, *args, **options):
        raise NotImplementedError

    def _run(self, script, input=b""):
        done = self.session.run(SETTINGS + script, input, timeout=TIMEOUT)
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            self.host.connector_data["said"] = "\n".join(said.splitlines()[-20:])
        lines = [OutputLine(name, line) for name, data in (("stdout", done.stdout), ("stderr", done.stderr))
                 for line in data.decode(errors="replace").splitlines()]
        return done.returncode == 0, CommandOutput(lines)


# ---- operations that pyinfra lacks ----

@operation()
def installed(names, client):
    """Packages, and Docker's client where that is one of its own, from Debian 13 on."""
    waiting = "-o DPkg::Lock::Timeout=300"
    yield from apt.packages._inner(packages=names, update=True, extra_install_args=waiting)
    if client:
        yield f"! apt-cache show docker-cli >/dev/null 2>&1 || apt-get {waiting} install -y docker-cli"


@operation()
def whole_file(thing, there):
    """A file that is never there in part, nor for a moment with another owner or mode. Of one that is there `once` and
    for all, only owner and mode."""
    own = f"chown {thing.owner}:{thing.group} {{0}} && chmod {thing.mode} {{0}}"
    if thing.once and there:
        yield own.format(thing.path)
        return
    new, folder = f"{thing.path}.new", thing.path.rpartition("/")[0]
    yield FileUploadCommand(BytesIO(thing.content.encode()), new)
    yield f"{own.format(new)} && sync {new} && mv -fT {new} {thing.path} && sync {folder}"


@operation()
def whole_site(site_name, changed, links, absent):
    """nginx's files, all or none of them, and only when nginx itself has found them good."""
    folder, prepare, test = trial(site_name, changed, links, absent)
    yield prepare
    for path, content in changed.items():
        yield FileUploadCommand(BytesIO(content.encode()), path.replace("/etc/nginx", folder, 1))
    yield test
    yield swap(site_name, changed, links, absent)


# ---- what each thing is to pyinfra: its name in reports, the operation and what that takes ----

def packages(thing, tree):
    names = [name for name in thing.names if name != "docker-cli"]
    yield f"install {', '.join(names) or 'docker-cli'}", installed, {"names": names, "client": names != [*thing.names]}


def user(thing, tree):
    yield f"add group {thing.name}", server.group, {"group": thing.name, "system": True}
    yield f"add user {thing.name}", server.user, {
        "user": thing.name, "group": thing.name, "system": True, "home": "/nonexistent", "shell": "/usr/sbin/nologin",
        "ensure_home": False}


def file(thing, tree):
    if not settled(thing, tree):
        yield f"write {thing.path}", whole_file, {"thing": thing, "there": thing.path in tree}


def absent(thing, tree):
    if not settled(thing, tree):
        yield f"remove {thing.path}", files.file, {"path": thing.path, "present": False}


def site(thing, tree):
    changed, links, gone = unsettled(thing, tree)
    if changed or links or gone:
        yield f"put nginx site {thing.name} {'in place' if thing.files else 'away'}", whole_site, {
            "site_name": thing.name, "changed": changed, "links": links, "absent": gone}


def folder(thing, tree):
    if settled(thing, tree):
        return
    own = {"mode": thing.mode, "user": thing.owner, "group": thing.group} if thing.mode else {}
    yield f"make folder {thing.path}", files.directory, {"path": thing.path, **own}


def service(thing, tree):
    yield f"enable {thing.name}", systemd.service, {
        "service": thing.name, "enabled": True, "running": True if thing.running else None}


def stopped(thing, tree):
    names = shlex.join(thing.names)
    targets = shlex.join(name for name in thing.names if name.endswith(".target"))
    yield f"stop {', '.join(thing.names)}", server.shell, {"commands": [
        f"systemctl stop {names}",
        f"for unit in {names}; do ! systemctl --quiet is-failed $unit || systemctl reset-failed $unit; done",
        *([f"systemctl --quiet disable {targets}"] if targets else ())]}


def certificate(thing, tree):
    domains = " ".join(f"-d {shlex.quote(name)}" for name in thing.names)
    yield f"get a certificate for {', '.join(thing.names)}", server.shell, {
        "commands": f"certbot certonly --non-interactive --agree-tos --email {shlex.quote(thing.email)} --webroot "
                    f"-w /var/www/acme --deploy-hook 'systemctl reload nginx' {domains}"}


OPERATIONS = {things.Packages: packages, things.User: user, things.Folder: folder, things.File: file,
              things.Absent: absent, things.Service: service, things.Stopped: stopped, things.Site: site,
              things.Certificate: certificate}
SLOW = (things.Packages, things.Stopped, things.Certificate)


# ---- running them ----

class Run:
    """All hosts, for one run of pyinfra; hosts may be brought on at the same time, each in a thread of its own.

    `dry`: nothing is changed. `progress` hears of every change, and before those that may take long.
    """

    def __init__(self, sessions, dry, progress):
        logging.getLogger("pyinfra").setLevel(logging.CRITICAL + 1)  # what it has to say we say
        inventory = Inventory((list(sessions), {}))
        for host in inventory:
            host.connector_cls = OverSession
            host.connector_data["session"] = sessions[host.name]
        self.dry, self.progress, self.inventory = dry, progress, inventory
        self.state = State(inventory, Config(), check_for_changes=dry)
        self.state.is_executing = not dry
        for host in inventory:
            host.connected = True
            self.state.activate_host(host)

    @contextlib.contextmanager
    def open(self):
        with ctx_state.use(self.state):
            yield self

    def bring(self, name, steps):
        """Bring the host of that name to where the steps say. Raises HostProblem."""
        host = self.inventory.get_host(name)
        tree = None
        with ctx_host.use(host):
            for thing in steps:
                if tree is None and not isinstance(thing, things.Packages):  # those bring files of their own
                    tree = parse(host.connector.session.run(script(paths_of(steps))).stdout.decode())
                self.bring_thing(host, thing, tree)

    def bring_thing(self, host, thing, tree):
        """Bring one thing about; whether anything changed."""
        if isinstance(thing, things.Group):
            changed = any([self.bring_thing(host, inner, tree) for inner in thing.things])
            due = changed or thing.anyway
            return self.operate(host, f"run {thing.then}", server.shell, {"commands": thing.then}) if due else False
        return any([self.operate(host, *order, slow=isinstance(thing, SLOW))
                    for order in OPERATIONS[type(thing)](thing, tree)])

    def operate(self, host, name, function, arguments, slow=False):
        """Do one operation; whether it changed, or would change, anything."""
        host.connector_data["said"] = ""
        if slow:
            self.progress.begin(host.name, name)
        try:
            done = function(**arguments)
        except PyinfraError as error:
            raise HostProblem(f"{name}: {host.connector_data['said'] or error}") from error
        if host in self.state.failed_hosts:
            raise HostProblem(f"{name}: {host.connector_data['said']}")
        changed = done.will_change if self.dry else done.did_change()
        if changed:
            self.progress.changed(host.name, name)
        return changed
