"""A simulated host without systemd and Docker: the agent's real code works on a folder that stands for /.

Every command, rename, link and removal is an effect. After `fuse` effects the next one kills the agent. Each effect
first calls `watch()`, which checks the invariants.
"""

import errno
import json
import os
import shutil
import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from unittest import mock

from slipway.deploy.agent import disk, docker, http, releases, shell, slots
from slipway.deploy.agent import host as hosts
from slipway.deploy.agent.roles import BUILT_IN, Process
from slipway.deploy.agent.steps.watcher import Watcher
from slipway.deploy.server.files import process_unit

FOREVER = 10**9


class Killed(BaseException):
    """The death of the agent, whose code does not catch this."""


OWN = (Process("alerts", "manage sendalerts", False, "seconds 5"), Process("mail", "mail", True, "file"))


class Simulated(hosts.Host):
    """A host with web, worker, beat, and the processes `own` of a team. `up`: running unit → its (tag, image id)."""

    def __init__(self, root, watch=lambda: None, own=()):
        super().__init__("shop", str(root))
        self.up, self.fuse, self.watch, self.broken, self.timer = {}, FOREVER, watch, set(), None
        self.full = False  # no room for another file in /run
        self.one_offs = {}
        self.strangers = []  # names of containers that docker-runner has not started
        self.wrong = self.back = 0  # seconds that the clock is behind, and that each effect sets it back
        self.agent = 0  # the process id of the agent that holds the lock
        for folder in ("/etc/default", "/etc/systemd/system", "/var/www/shop", "/run/shop/a", "/run/shop/b"):
            os.makedirs(self.root + folder)
        for process in (*BUILT_IN.values(), *own):
            unit = process_unit(self.app, process)
            disk.write(self.root + unit.path, unit.content)
        disk.write(self.env, "SECRET_KEY=1\n")
        os.makedirs(self.root + "/proc/7")
        disk.write(self.root + "/proc/7/stat", f"7 (x) S {'0 ' * 18}100 0\n")
        os.symlink("a/web.sock", self.web_sock)

    def call(self, *words, **options):
        """Stand in for every command that the agent runs."""
        done = SimpleNamespace(returncode=0, stdout="", stderr="")
        if words[0] == "systemctl":
            done.stdout = self.systemctl_(words[1], [word for word in words[2:] if not word.startswith("-")])
        elif words[0] == "systemd-run":
            self.effect()
            self.timer = words[-4:]
        elif words[0] == "docker-slot":
            self.effect()
            assert words[3] != slots.live(self) and not slots.running(self, *slots.units(self, words[3]))
            shutil.rmtree(f"{self.run}/{words[3]}")
            os.makedirs(f"{self.run}/{words[3]}")
        elif words[0] == "docker-runner":
            done.returncode, done.stderr = self.docker_runner("shop-" + words[4], options["env"]["EXTRA"].split())
        return done

    def docker_runner(self, name, extra):
        """Run a one-off to its end; return exit code and stderr. `one_offs`: name → label of the one-offs that run."""
        if name in self.one_offs:
            return 75, f"{name} already runs"
        self.one_offs[name] = extra[extra.index("--label") + 1] if "--label" in extra else ""
        self.effect()
        del self.one_offs[name]
        return (1, f"{name} fails") if name in self.broken else (0, "")

    def effect(self):
        """Count an effect that is about to happen; after `fuse` effects kill the agent."""
        if self.fuse <= 0:
            raise Killed
        self.fuse, self.wrong = self.fuse - 1, self.wrong + self.back
        self.watch()

    def systemctl_(self, verb, words):
        if verb == "show":
            units = [word for word in words if word.endswith(".service")]
            return "\n\n".join(
                f"Id={unit}\nActiveState={'active' if unit in self.up else 'inactive'}\nNRestarts=0\n"
                f"MainPID={self.agent}"
                for unit in units
            )
        for unit in words:
            self.effect()
            if verb == "start" and unit not in self.up:
                self.start(unit)
            elif verb == "stop":
                if unit.endswith(".timer"):
                    self.timer = None
                self.up.pop(unit, None)
        return ""

    def start(self, unit):
        """Start the release that the slot's file names, or else the committed one, as docker-runner does."""
        slot = unit.partition("@")[2].partition(".")[0] or unit.partition("-")[2].partition(".")[0]
        release = slots.release_in(self, slot) or releases.read_tag(self.tag)
        self.up[unit] = (release["tag"], release["image_id"])

    def ask(self, sock, path, *rest, **options):
        """Answer a request over a unix socket: nginx's or a slot's."""
        if "nginx" in sock:
            self.note_visit(http.AGENT, 200)
        slot = slots.live(self) if "nginx" in sock else sock.split("/")[-2]
        tag = self.up.get(f"shop-web@{slot}.service", (None,))[0]
        if tag is None or tag in self.broken:
            return 500 if tag else 0, "broken"
        return 200, json.dumps({"release": tag})

    def note_visit(self, agent, status, count=1):
        """Write `count` lines to nginx's access log."""
        os.makedirs(self.root + "/var/log/nginx", exist_ok=True)
        with open(self.root + "/var/log/nginx/shop.access.log", "a") as file:
            file.write(
                count
                * (
                    json.dumps(
                        {
                            "client": "192.0.2.1",
                            "path": "/",
                            "status": status,
                            "app_status": str(status),
                            "user_agent": agent,
                        }
                    )
                    + "\n"
                )
            )

    def engine(self, host, method, path, login=None, seconds=60, given=None):
        """Answer for the engine: to a pull, about an image by its id or digest, about containers, and to a command in
        one, as a healthcheck. A healthcheck fails if its command or container is in `broken`."""
        if path.startswith("/containers/json"):
            return 200, json.dumps(self.listed(path))
        if method == "DELETE" and (name := path.split("/")[2].partition("?")[0]) in self.one_offs:
            self.effect()
            del self.one_offs[name]
        if path.startswith("/containers/shop-") and path.endswith("/json") and "?" not in path:
            name, _, slot = path.split("/")[2].partition("-")[2].partition("-")
            release = self.up.get(self.unit(name, slot))
            found = {
                "Id": path.split("/")[2],
                "State": {"Running": True, "Pid": 7},
                "Config": {"Entrypoint": ["/entry"], "Labels": {"docker-runner.image": release and release[1]}},
            }
            return (200, json.dumps(found)) if release else (404, "{}")
        if path.endswith("/exec"):
            self.healthcheck = int(bool(self.broken & {*given["Cmd"]}) or path.split("/")[2] in self.broken)
        if "/exec" in path or path.startswith("/containers/"):
            return 200, json.dumps({"Id": "2", "ExitCode": getattr(self, "healthcheck", None)})
        digest = path.rpartition("/")[0].rpartition("@")[2].rpartition("/")[2]
        return 200, json.dumps(
            {
                "Id": digest.replace("digest", "sha256"),
                "RepoDigests": [f"shop@{digest}"],
                "Config": {"Labels": {"org.opencontainers.image.revision": digest.encode().hex()}},
            }
        )

    def listed(self, path):
        """List an attempt's one-offs, or else the processes, as the engine does; without a filter, also strangers."""
        if "docker-runner.attempt" in path:
            return [{"Id": name} for name, label in self.one_offs.items() if f"%22{label}%22" in path]
        others = [] if "filters" in path else self.strangers
        return [
            {
                "Names": ["/" + unit.partition(".")[0].replace("@", "-")],
                "State": "running",
                "Id": release[0],
                "Labels": {"docker-runner.image": release[1]},
            }
            for unit, release in self.up.items()
        ] + [{"Names": [f"/{name}"], "State": "running", "Id": name, "Labels": {}} for name in others]

    def worker(self, host, slot):
        tag = self.up.get(f"shop-worker@{slot}.service", (None,))[0]
        paused = os.path.exists(self.slot(slot, "worker.pause"))
        return ("paused" if paused else "consuming", tag) if tag else ("", "")

    def reboot(self):
        """Empty /run and start the committed release in slot a, as docker-slot does after a reboot."""
        watch, self.watch = self.watch, lambda: None  # no visitor is served until the host is up again
        shutil.rmtree(self.run)
        self.up, self.timer, self.fuse = {}, None, FOREVER
        for slot in "ab":
            os.makedirs(f"{self.run}/{slot}")
        os.symlink("a/web.sock", self.web_sock)
        release = releases.read_tag(self.tag)
        if release:
            for slot in ("a", *self.alone()):
                slots.pin(self, slot, release, disk.read(self.env))
            for unit in (*slots.units(self, "a"), *map(self.unit, self.alone())):
                self.start(unit)
        self.watch = watch


def counted(host, function):
    """Return the function, of which each call for a file of the host is an effect."""

    def effect(*words, **options):
        if str(words[-1]).startswith(host.root):
            host.effect()
        return function(*words, **options)

    return effect


def making(host, function, makes):
    """Return the function, which fails for a new file in /run while that is full. `makes`: True if a call makes one."""

    def make(*words, **options):
        path = [str(word) for word in words if str(word).startswith(host.run)]
        if host.full and path and makes(*words) and not os.path.lexists(path[0]):
            raise OSError(errno.ENOSPC, "No space left on device", path[0])
        return function(*words, **options)

    return make


@contextmanager
def world(host):
    """Let the agent's code work on the simulated host while the block runs."""
    now = time.time
    with (
        mock.patch("time.time", lambda: now() - host.wrong),
        mock.patch.multiple(
            os,
            rename=counted(host, os.rename),
            unlink=counted(host, os.unlink),
            symlink=making(host, counted(host, os.symlink), lambda *words: True),
            open=making(host, os.open, lambda path, flags, *mode: flags & os.O_CREAT),
        ),
        mock.patch.object(Watcher, "start", lambda self: None),
        mock.patch.object(os, "fsync", lambda number: None),
        mock.patch("time.sleep", lambda seconds: None),
        mock.patch.object(http, "ask", host.ask),
        mock.patch.object(docker, "call", host.engine),
        mock.patch.object(http, "stream", lambda *words: nullcontext((404, None))),
        mock.patch.object(slots, "worker_state", host.worker),
        # whoever runs the tests, who need not be root, owns the simulated host's files
        mock.patch.object(shell, "owner_ids", lambda *_: (os.getuid(), os.getgid())),
    ):
        yield
