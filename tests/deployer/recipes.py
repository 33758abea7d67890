"""Recipes without a server: pyinfra works over stand-ins for a Connection, and tests inspect its commands."""

import asyncio
import base64
import os
import shlex

from deployer.test_server import host_of
from slipway.deploy.agent import shell
from slipway.deploy.errors import HostProblem
from slipway.deploy.provisioning import recipe
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.provisioning.services import Credentials
from slipway.deploy.provisioning.session import Session
from slipway.deploy.server.site import Out
from slipway.deploy.ssh import child
from slipway.deploy.ssh.child import Done

STAT = "user=root group=root mode=-rw-r--r-- atime=0 mtime=0 ctime=0 size=0 '{}'\n"
ANY = {"uname -s": "Linux\n", "command -v useradd": "/usr/sbin/useradd\n", "stat -L -c": "600 root root\n"}


CREDENTIALS = Credentials(
    {"postgres": "a-password", "redis": "another"}, {"redis": "a certificate\n"}, repository="RESTIC_PASSWORD=x\n"
)


class Host:
    """A bare server. `answers`: part of a script → its output. A script that contains `failing` fails."""

    def __init__(self, answers=(), failing="nothing fails"):
        self.answers, self.failing, self.asked, self.written = dict(answers), failing, [], []

    async def command(self, script, input=b"", timeout=600):
        self.asked.append(script)
        if self.failing in script:
            return Done(1, b"", b"some words\nit failed\n")
        return Done(0, "".join(text for part, text in (ANY | self.answers).items() if part in script).encode(), b"")

    async def put(self, path, content, mode=0o644, owner="root", group="root"):
        self.written.append((path, content.decode(), oct(mode)[2:], owner, group))


class Here:
    """This machine; it runs commands and writes files as the agent does."""

    async def command(self, script, input=b"", timeout=600):
        done = shell.command(None, script, base64.b64encode(input), timeout)
        return Done(done["code"], *(base64.b64decode(done[name]) for name in ("out", "err")))

    async def put(self, path, content, mode=0o644, owner="root", group="root"):
        if os.path.isdir(path):
            raise HostProblem(f"{path}: Is a directory")
        shell.put(None, path, base64.b64encode(content), mode, owner, group)


def work(function, channel=None, check=False, announced=None):
    """Call a function that calls operations; return the session, and the error or None."""

    async def call():
        said = [] if announced is None else announced
        session = Session({"web1": channel or Host()}, check, lambda *words: said.append(words))
        with session.entered():
            try:
                await child.in_thread(session.work, "web1", function)
            except HostProblem as problem:
                return session, problem
        return session, None

    return asyncio.run(call())


class Plan:
    """The work of provisioning on a host. `names`: of the operations that change something, in their order; `scripts`:
    that the host runs; `files`: path → (content, mode, owner, group) of the files that are written."""

    def __init__(self, fleet, name, found=Inspection(), there="", team=lambda fleet, host: None, answers=()):
        paths = [line.partition("/")[1] + line.partition("/")[2] for line in there.splitlines()]
        host = Host({"sha256sum": there} | {f"test -L {path} )": STAT.format(path) for path in paths} | dict(answers))
        session, problem = work(
            lambda: recipe.provision(fleet, host_of(fleet, name), found, Out(), CREDENTIALS, team), host
        )
        assert problem is None, problem
        self.names = session.changes("web1")
        self.scripts = [shlex.split(script)[-1] for script in host.asked if script.startswith("sh -c ")]
        self.files = {path: tuple(words) for path, *words in host.written}
