"""A program on a host, and the same on all hosts at once. Only for provisioning, until it uses connection.py."""

import contextlib
import os
import re
import select
import subprocess
import tempfile
import time

from .conversation import why
from .errors import HostProblem, Locked, Nonsense, Refused, on_hosts
from .input import Input
from .process import Lines
from .together import outcome, start

MARK = "--8<-- slipway"
HOLD = f"echo '{MARK}'; exec cat >/dev/null"  # for hosts that may have no Python yet
MOST = 16 * 2**20  # bytes that a command may say
RUNNING = ("active", "activating", "deactivating", "reloading")


def lock_words(app, what):
    """The words that run others as the unit APP-deploy. Its name is the lock; `what` tells who holds it.

    However it ends, by the end of its input too, systemd frees the name.
    """
    return ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec",
            f"--unit={app}-deploy", f"--description={what}"]


class HostLocked(HostProblem):
    """Somebody else is changing the host."""


class Session:
    """One ssh connection on which a program runs. It ends when the block does, and the program with it.

    `share`, a path, lets `run` use the connection for more.
    """

    def __init__(self, host, ssh, words, program="", share="", timeout=60):
        self.host, self.ssh, self.share, self.timeout = host, ssh, share, timeout
        self.lines, self.ended, self.said = Lines(), [], tempfile.TemporaryFile()
        self.process = subprocess.Popen(ssh.command(host.address, words, share, owner=bool(share)),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
                                        start_new_session=True)  # Ctrl-C is ours, not ssh's
        self.input = Input(self.process)
        try:
            if program:
                self._write(b"%d\n" % len(program.encode()) + program.encode())
            deadline = time.monotonic() + timeout
            while self._line(deadline).rstrip() != MARK.encode():
                pass
        except BaseException:
            self.close(grace=0)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *error):
        self.close(grace=0.1 if kind is KeyboardInterrupt else 5)  # many, one after the other

    def run(self, script, input=b"", timeout=600):
        """Run a shell script over this connection as root; the finished process, output as bytes."""
        return run(self.host, self.ssh, ["sh", "-c", script], input, timeout, self.share)

    def close(self, grace=5):
        """End the program by the end of its input, after `grace` seconds the connection too."""
        self.input.close()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.said.close()

    def _write(self, data):
        """Within the timeout, that is: a host may read nothing for ever."""
        try:
            start(self.input.write, data).result(self.timeout)
        except TimeoutError:
            raise HostProblem(f"takes no input within {self.timeout} s") from None
        except (OSError, ValueError):
            raise self._gone() from None

    def _line(self, deadline):
        while not self.ended:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise HostProblem(f"no answer within {self.timeout} s")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise self._gone()
            self.ended += self.lines.add(more)
        return self.ended.pop(0)

    def _gone(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        return HostProblem(why(self.process.poll(), last_words(self.said)))


def last_words(file, most=65536):
    """The end of what a process has written to a file."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    return file.read()


def run(host, ssh, words, input=b"", timeout=60, share=""):
    """Run words at a host as root to the end; the finished process. Raises HostProblem if it can't be reached."""
    command, deadline = ssh.command(host.address, words, share), time.monotonic() + timeout
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    try:
        start(feed, process.stdin, input)
        reading = [start(bounded, stream) for stream in (process.stdout, process.stderr)]
        out, err = [future.result(max(0, deadline - time.monotonic())) for future in reading]
        code = process.wait(max(0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise HostProblem(f"no answer within {timeout} s") from None
    finally:
        process.kill()
        process.wait()
    if code == 255:
        raise HostProblem(why(255, err))
    return subprocess.CompletedProcess(command, code, out, err)


def feed(stream, data):
    with contextlib.suppress(OSError), stream:
        stream.write(data)


def bounded(stream):
    """All that a process writes. Raises Nonsense where that is without end."""
    with stream:
        data = stream.read(MOST + 1)
        if len(data) > MOST:
            raise Nonsense(f"more than {MOST // 2**20} MB")
        return data


def each(hosts, function, error=Refused):
    """`function(host)` for all hosts at once: host name → what it returned.

    Raises one error with the HostProblems of all: Locked where one is, else `error`.
    """
    results, problems, kind = {}, {}, error
    futures = {host.name: start(function, host) for host in hosts}
    for name, future in futures.items():  # an interrupt leaves here at once
        try:
            results[name] = outcome(future)
        except HostProblem as problem:
            problems[name] = problem.args
            kind = Locked if isinstance(problem, HostLocked) else kind
    if problems:
        raise kind(on_hosts(problems))
    return results


def first_alone(hosts, function, error=Refused):
    """The same, the first by name before the others: of two who want the same hosts one gets them all."""
    hosts = sorted(hosts, key=lambda host: host.name)
    return {**each(hosts[:1], function, error), **each(hosts[1:], function, error)}


@contextlib.contextmanager
def sessions(hosts, ssh, words, program="", lock=None, shared=False):
    """Sessions of `words` on all hosts while the block runs: host name → Session.

    `lock`, (app, who), has each run as the unit that is the lock.
    """
    words = [*lock_words(*lock), *words] if lock else words
    with tempfile.TemporaryDirectory(prefix="dep", dir="/tmp") as folder, contextlib.ExitStack() as stack:
        def enter(host):
            share = f"{folder}/{hosts.index(host)}" if shared else ""
            try:
                return stack.enter_context(Session(host, ssh, words, program, share))
            except HostProblem as problem:
                raise (lock and (held(host, ssh, lock[0]) or beaten(problem))) or problem from None
        yield first_alone(hosts, enter) if lock else each(hosts, enter)


def beaten(problem):
    """The problem that somebody took the lock at the same moment, if that is what systemd says; he may be gone."""
    found = re.search(r"\.service (was already loaded|already exists)", str(problem))
    return HostLocked("locked: by somebody who came a moment before") if found else None


def held(host, ssh, app):
    """The problem that somebody holds the lock, if that is so."""
    with contextlib.suppress(HostProblem):
        state = run(host, ssh, ["systemctl", "show", "--property=ActiveState,Description", f"{app}-deploy.service"])
        told = dict(line.split("=", 1) for line in state.stdout.decode().splitlines() if "=" in line)
        if told.get("ActiveState") in RUNNING:
            return HostLocked(f"locked: {told.get('Description', '')}")
    return None
