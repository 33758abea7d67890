"""Kubernetes' objects for what runs: Deployments and the Job of migrations. Pure.

Pods keep to the pod security standard "restricted". A name that `[engine] settings` lists is asked of the Secret, so a
pod whose settings lack one never starts.
"""

from typing import Any

from ..agent.roles import READY_FILE
from ..config import Fleet
from .workloads import DRAIN, PORT, Release, Workload, preparing, preparing_seconds, slug

Data = dict[str, Any]
USER = 10001  # the image's
MIGRATE = "migrate"
# What must be there, and done, before the rest: for `kubectl -l`, and for Argo CD, which waits for each wave.
STEP, WAVE = "rollout-step", "argocd.argoproj.io/sync-wave"


def labels(fleet: Fleet, component: str = "") -> Data:
    """Those that name a part of the app; selectors are of these alone, as they may never change."""
    return {"app.kubernetes.io/name": fleet.app, **({"app.kubernetes.io/component": component} if component else {})}


def named(fleet: Fleet, component: str, kind: str, version: str, **rest: Any) -> Data:
    """An object called APP-COMPONENT."""
    return {"apiVersion": version, "kind": kind,
            "metadata": {"name": f"{fleet.app}-{component}", "labels": labels(fleet, component)}, **rest}


def deployment(fleet: Fleet, work: Workload) -> Data:
    """What keeps a process up. `replicas` is left to the autoscaler, where one may change it."""
    surge = "25%" if work.is_web else "100%"
    together = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": surge}}
    rollout = fleet.rollout
    scale = {} if work.most > work.replicas else {"replicas": work.replicas}
    return named(fleet, work.name, "Deployment", "apps/v1", spec={
        **scale,
        "revisionHistoryLimit": rollout["keep_releases"],
        "minReadySeconds": rollout["bake"] if work.is_web else 0,
        "progressDeadlineSeconds": rollout["ready"] + rollout["bake"] + 60,  # without a pod getting ready
        "strategy": together if work.together else {"type": "Recreate"},
        "selector": {"matchLabels": labels(fleet, work.name)},
        "template": {"metadata": {"labels": labels(fleet, work.name)}, "spec": {
            **pod(fleet, container(fleet, work)),
            "terminationGracePeriodSeconds": work.stop + (DRAIN if work.is_web else 0),
            **(spread(fleet, work) if work.is_web else {})}}})


def migrations(fleet: Fleet, release: Release) -> Data:
    """The Job that brings the database up to date, once a release, and before it static files into a bucket."""
    job = named(fleet, MIGRATE, "Job", "batch/v1", spec={
        "backoffLimit": 0, "activeDeadlineSeconds": preparing_seconds(fleet),
        "template": {"metadata": {"labels": labels(fleet, MIGRATE)}, "spec": {
            **pod(fleet, {**basis(fleet, MIGRATE), "args": preparing(fleet)}), "restartPolicy": "Never"}}})
    job["metadata"]["name"] += f"-{slug(release)}"
    first = before(job, -1)
    first["metadata"]["annotations"] |= {"argocd.argoproj.io/hook": "Sync",
                                         "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation"}
    return first


def before(made: Data, wave: int = -2) -> Data:
    """The object, as one of those that come first."""
    metadata = made["metadata"]
    return {**made, "metadata": {**metadata, "labels": {**metadata["labels"], STEP: "before"},
                                 "annotations": {WAVE: str(wave)}}}


# ---- pods ----

def pod(fleet: Fleet, of: Data) -> Data:
    """What all pods share, with their one container."""
    return {"serviceAccountName": fleet.app, "automountServiceAccountToken": False, "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [of], "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]}


def basis(fleet: Fleet, name: str) -> Data:
    """What all containers share."""
    memory = {"memory": size} if (size := kubernetes_size(fleet.memory)) else {}
    return {"name": name, "image": fleet.app,
            "env": [{"name": key, "valueFrom": {"secretKeyRef": {"name": secret(fleet), "key": key}}}
                    for key in fleet.engine["settings"]],
            "resources": {"requests": {"cpu": fleet.engine["cpu"], **memory}, **({"limits": memory} if memory else {})},
            "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}


def container(fleet: Fleet, work: Workload) -> Data:
    """The container of a process."""
    said = basis(fleet, work.name)
    if work.is_web:
        said["env"].append({"name": "PORT", "value": str(PORT)})
        said["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(DRAIN)]}}}
    else:
        said["env"].append({"name": "READY_FILE", "value": READY_FILE})
    ports = [{"name": port.name, "containerPort": port.inner, "protocol": port.protocol} for port in work.ports]
    return {**said, "args": [*work.args], **({"ports": ports} if ports else {}), **probes(fleet, work)}


def probes(fleet: Fleet, work: Workload) -> Data:
    """When it is ready, and whether it lives. A release has to pass /readyz before its first visitor; later a service
    that all pods need, and that fails for a moment, must not take all of them away."""
    tries = {"periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": fleet.rollout["ready"]}
    if work.is_web:
        lives = http("/healthz", PORT)
        return {"startupProbe": {**http("/readyz", PORT), **tries},
                "readinessProbe": {**lives, "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 3},
                "livenessProbe": {**lives, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6}}
    if work.name in ("worker", "beat"):
        healthy = executed("./docker-run.sh", "healthcheck")
        starts = executed("grep", "-q", "^consuming", READY_FILE) if work.name == "worker" else healthy
        return {"startupProbe": {**starts, **tries},
                "livenessProbe": {**healthy, "periodSeconds": 60, "timeoutSeconds": 30, "failureThreshold": 3}}
    return {"startupProbe": {**own_probe(work.ready), **tries}}


def own_probe(ready: str) -> Data:
    """The probe of a team's process, as the toml's `ready` has it."""
    way, _, what = ready.partition(" ")
    if way == "port":
        return {"tcpSocket": {"port": int(what)}}
    if way == "http":
        port, slash, path = what.partition("/")
        return http(slash + path, int(port[1:] or PORT))
    if way == "file":
        return executed("test", "-e", READY_FILE)
    return {**executed("true"), "initialDelaySeconds": int(what)}


def http(path: str, port: int) -> Data:
    """A probe that asks for a path."""
    return {"httpGet": {"path": path, "port": port}}


def executed(*words: str) -> Data:
    """A probe that runs a command in the container."""
    return {"exec": {"command": [*words]}}


def spread(fleet: Fleet, work: Workload) -> Data:
    """Pods on several nodes, where there are several."""
    return {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(fleet, work.name)}}]}


def secret(fleet: Fleet) -> str:
    """The name of the Secret with the settings; kustomize adds a hash of its content to the one it makes."""
    return fleet.engine["secret"] or f"{fleet.app}-settings"


def kubernetes_size(memory: str) -> str:
    """A size as Kubernetes writes it: 2Gi of the toml's "2g"; "" for no limit; "auto" is 512Mi here."""
    units = {"k": "Ki", "m": "Mi", "g": "Gi"}
    known = {"off": "", "auto": "512Mi"}
    return known[memory] if memory in known else memory.rstrip("kmg") + units.get(memory[-1], "")
