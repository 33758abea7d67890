"""A server on which docker-runner runs, with a stand-in for docker that logs its calls."""

import hashlib
import os
import shutil
from pathlib import Path

from proc import put, run
from slipway.deploy.server.render import HOST

IMAGE_ID = "sha256:" + "4" * 64


RUNNER = HOST / "docker-runner"


USER = "daemon"  # an app whose system user exists on every machine


HARDENED = ["--pull=never", "--init", "--no-healthcheck", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


SMALL = [
    "--read-only",
    "--tmpfs=/tmp:size=256m,mode=1777,nosuid,nodev,noexec",
    "--pids-limit=1000",
    "--memory=2000000k",
]


SECRET = "planted-secret"


ID = "c" * 64  # the id of the stand-in's container


class Server:
    """A folder that stands for a server's /, with a deployed app and the stand-in for docker."""

    def __init__(self, root, shell):
        self.root, self.shell, self.stub = root, shell, root / "stub"
        self.stub.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "docker-stub", self.stub / "docker")
        shutil.copy(HOST / "docker_stop.py", self.stub / "docker-stop")
        (self.stub / "docker-stop").chmod(0o755)
        path = f"{self.stub}:{os.environ['PATH']}"
        self.env = {"PATH": path, "STUB": str(self.stub), "DOCKER_RUNNER_ROOT": str(root)}
        self.put("stub/image", IMAGE_ID)
        self.put("proc/meminfo", "MemTotal:        4000000 kB\nMemFree:          900000 kB\n")
        for app in ("shop", USER):
            self.put(f"etc/default/{app}", "IMAGE=registry.example:5000/team/shop\nOPTS='-v /srv/x:/x'\n")
            self.put(f"etc/default/{app}.env", f"# settings\nSECRET_KEY={SECRET}\nEMPTY=\nJSON={{\"a\": '1'}}\n\n")
            self.put(f"var/www/{app}/TAG", f"export TAG=build-42\nexport IMAGE_ID={IMAGE_ID}\n")
            (root / f"run/{app}/a").mkdir(parents=True)

    def put(self, path, text):
        return put(self.root / path, text)

    def command(self, *words):
        return [*self.shell, RUNNER, *words]

    def __call__(self, *words, **env):
        return run(self.command(*words), timeout=60, env={**self.env, **env})

    def calls(self, verb=None):
        """Return the calls of docker, each a list of words; with `verb`, only its calls."""
        log = self.stub / "log"
        calls = [call.split("\0")[:-1] for call in log.read_text().split("\1\0")[:-1]] if log.exists() else []
        return [call for call in calls if verb in (None, call[0])]

    def ran(self):
        (call,) = self.calls("run")
        return call


def settings_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


UNIT = ("--unit", f"{USER}-web-a", "--slot", "a", USER, "run")
