"""Small files for platforms that run an image: Fly, Render, Cloud Run, Heroku and those that read a Procfile. Pure.

Each platform gives PORT, keeps nothing on disk, and sends TERM some seconds before it kills.
"""

import json
import shlex
from collections.abc import Callable

from ..config import Fleet
from ..screen.yaml import dump
from .kubernetes import Data, http, kubernetes_size
from .workloads import MADE, PORT, Release, Workload, preparing, preparing_seconds, workloads

RUN = "/app/docker-run.sh"  # the image's entrypoint, for platforms that name a whole command
STARTS = 240  # seconds that Cloud Run gives a container at most
THREADS = "32"  # of each of the site's processes: with no nginx before it, a slow client keeps one
Maker = Callable[[Fleet, Release], dict[str, str]]


def running(fleet: Fleet) -> list[Workload]:
    """Those with a replica; a platform is not told of the others."""
    return [work for work in workloads(fleet) if work.replicas]


def command(work: Workload) -> str:
    """What starts a process, in one line."""
    return shlex.join([RUN, *work.args])


def before(fleet: Fleet) -> str:
    """What comes before a release, in one line."""
    return shlex.join([RUN, *preparing(fleet)])


def threads(fleet: Fleet) -> dict[str, str]:
    """The variable for them, unless it is a setting of the team's."""
    return {} if "WEB_THREADS" in fleet.engine["settings"] else {"WEB_THREADS": THREADS}


def pinned(fleet: Fleet, release: Release) -> str:
    """The image by its digest, which no later push changes."""
    return f"{fleet.image}@{release.digest}"


# ---- Fly ----

def fly(fleet: Fleet, release: Release) -> dict[str, str]:
    """fly.toml. Secrets are set by `fly secrets`; machines are counted by `fly scale`."""
    works = running(fleet)
    lines = [f"# {MADE}", f"app = {text(fleet.app)}", 'kill_signal = "SIGTERM"',
             f"kill_timeout = {min(300, max(work.stop for work in works))}", "", "[build]",
             f"image = {text(pinned(fleet, release))}", "", "[deploy]",
             f"release_command = {text(shlex.join(preparing(fleet)))}", 'strategy = "bluegreen"', "", "[env]",
             *(f"{name} = {text(value)}" for name, value in threads(fleet).items()), "", "[processes]",
             *(f"{work.name} = {text(shlex.join(work.args))}" for work in works), "",
             "[http_service]", f"internal_port = {PORT}", "force_https = true", 'auto_stop_machines = "off"',
             f"min_machines_running = {works[0].replicas}", 'processes = ["web"]', "", "[[http_service.checks]]",
             'path = "/readyz"', 'interval = "5s"', 'timeout = "3s"', f'grace_period = "{fleet.rollout["ready"]}s"', "",
             *fly_memory(fleet.memory)]
    return {"fly.toml": "\n".join(lines)}


def fly_memory(memory: str) -> list[str]:
    """The lines for a size such as 2g or 512m; none where Fly is to choose."""
    words = {"m": "mb", "g": "gb"}
    return ["[[vm]]", f"memory = {text(memory[:-1] + words[memory[-1]])}", ""] if memory[-1] in words else []


def text(value: str) -> str:
    """A text as TOML has it."""
    return json.dumps(value)


# ---- Render ----

def render(fleet: Fleet, release: Release) -> dict[str, str]:
    """render.yaml. What a setting holds is asked for in its dashboard."""
    services = [render_service(fleet, release, work) for work in running(fleet)]
    return {"render.yaml": dump({"services": services}, MADE)}


def render_service(fleet: Fleet, release: Release, work: Workload) -> Data:
    """One process there."""
    visited = {"healthCheckPath": "/readyz", "preDeployCommand": before(fleet)} if work.is_web else {}
    return {"type": "web" if work.is_web else "worker", "name": f"{fleet.app}-{work.name}", "runtime": "image",
            "image": {"url": pinned(fleet, release)}, "dockerCommand": command(work), "numInstances": work.replicas,
            "maxShutdownDelaySeconds": min(300, work.stop), **visited,
            "envVars": [*({"key": name, "sync": False} for name in fleet.engine["settings"]),
                        *({"key": name, "value": value} for name, value in threads(fleet).items() if work.is_web)]}


# ---- Cloud Run ----

def cloudrun(fleet: Fleet, release: Release) -> dict[str, str]:
    """A service for the site and a job for its migrations. Settings are secrets of Secret Manager, APP-NAME; what else
    runs needs a host of another kind, as Cloud Run sleeps where nobody asks."""
    web = running(fleet)[0]
    box = {"image": pinned(fleet, release), "env": [
        *({"name": name, "valueFrom": {"secretKeyRef": {"name": f"{fleet.app}-{name}", "key": "latest"}}}
          for name in fleet.engine["settings"]),
        *({"name": name, "value": value} for name, value in threads(fleet).items())],
        **({"resources": {"limits": {"memory": size}}} if (size := kubernetes_size(fleet.memory)) else {})}
    probes = {"startupProbe": {**http("/readyz", PORT), "periodSeconds": 1, "timeoutSeconds": 1,
                               "failureThreshold": min(STARTS, fleet.rollout["ready"])},
              "livenessProbe": {**http("/healthz", PORT), "periodSeconds": 10, "timeoutSeconds": 5}}
    site = {**box, "args": [*web.args], "ports": [{"name": "http1", "containerPort": PORT}], **probes}
    scale = {"autoscaling.knative.dev/minScale": str(web.replicas), "autoscaling.knative.dev/maxScale": str(web.most)}
    service = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": fleet.app},
               "spec": {"template": {"metadata": {"annotations": scale},
                                     "spec": {"timeoutSeconds": 60, "containers": [site]}}}}
    once = {"maxRetries": 0, "timeoutSeconds": str(preparing_seconds(fleet)),
            "containers": [{**box, "args": preparing(fleet)}]}
    job = {"apiVersion": "run.googleapis.com/v1", "kind": "Job", "metadata": {"name": f"{fleet.app}-migrate"},
           "spec": {"template": {"spec": {"template": {"spec": once}}}}}
    return {"service.yaml": dump(service, MADE), "migrate.yaml": dump(job, MADE)}


# ---- Heroku, and others that read a Procfile ----

def by_shell(work: Workload) -> str:
    """What a shell starts, which would keep TERM to itself."""
    return f"{f'WEB_THREADS=${{WEB_THREADS:-{THREADS}}} ' if work.is_web else ''}exec {command(work)}"


def heroku(fleet: Fleet, release: Release) -> dict[str, str]:
    """heroku.yml, whose build only fetches the image that is tested already. Without an entrypoint the commands are a
    shell's."""
    works = running(fleet)
    made = {"build": {"docker": {"web": "Dockerfile.heroku"}},
            "release": {"image": "web", "command": [before(fleet)]},
            "run": {work.name: {"image": "web", "command": [by_shell(work)]} for work in works}}
    fetched = f"# {MADE}\nFROM {pinned(fleet, release)}\nENTRYPOINT []\n"
    return {"heroku.yml": dump(made, MADE), "Dockerfile.heroku": fetched}


def procfile(fleet: Fleet, release: Release) -> dict[str, str]:
    """A Procfile with the release phase; which image counts, the platform is told otherwise."""
    return {"Procfile": "".join(f"{line}\n" for line in (
        f"release: {before(fleet)}", *(f"{work.name}: {by_shell(work)}" for work in running(fleet))))}


PLATFORMS: dict[str, Maker] = {"fly": fly, "render": render, "cloudrun": cloudrun, "heroku": heroku,
                               "procfile": procfile}
