"""The manifests as kustomize takes them: a base that a release does not change, and over it the release. Pure: the same
toml and release make the same bytes."""

from ..config import Fleet
from ..screen.yaml import dump
from .kubernetes import STEP, WAVE, Data, before, deployment, labels, migrations, secret
from .kubernetes_site import account, autoscaler, budget, ingress, policies, route, service
from .workloads import MADE, Release, Workload, label, workloads

SETTINGS = "settings.env"


def manifests(fleet: Fleet, release: Release) -> dict[str, str]:
    """Path → text of all files."""
    works = workloads(fleet)
    base = {"app.yaml": [before(made) for made in (account(fleet), *policies(fleet, works))],
            **{f"process-{work.name}.yaml": of_workload(fleet, work) for work in works}}
    return {**{f"base/{name}": file(*objects) for name, objects in base.items()},
            "base/kustomization.yaml": file(kustomization(resources=[*base])),
            "migrate.yaml": file(migrations(fleet, release)),
            "kustomization.yaml": file(overlaid(fleet, release)), ".gitignore": f"/{SETTINGS}\n"}


def of_workload(fleet: Fleet, work: Workload) -> list[Data]:
    """The objects of a process."""
    reached = [service(fleet, work)] if work.ports else []
    scaled = [autoscaler(fleet, work)] if work.most > work.replicas else []
    site = [(route if fleet.engine["gateway"] else ingress)(fleet, work)] if work.is_web else []
    return [deployment(fleet, work), *reached, *([budget(fleet, work)] if work.most > 1 else []), *scaled, *site]


def kustomization(**rest: object) -> Data:
    """A kustomization.yaml."""
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **rest}


def overlaid(fleet: Fleet, release: Release) -> Data:
    """What a release adds."""
    made = {"secretGenerator": [{"name": secret(fleet), "envs": [SETTINGS], "options": {
        "labels": {**labels(fleet), STEP: "before"}, "annotations": {WAVE: "-2"}}}]}
    return kustomization(
        namespace=fleet.engine["namespace"] or fleet.app, resources=["base", "migrate.yaml"],
        images=[{"name": fleet.app, "newName": fleet.image, "digest": release.digest}],
        labels=[{"pairs": {"app.kubernetes.io/version": label(release.tag)}, "includeTemplates": True}],
        **({} if fleet.engine["secret"] else made))


def file(*objects: Data) -> str:
    """The text of objects in one file."""
    return "---\n".join(dump(data, MADE if number == 0 else "") for number, data in enumerate(objects))
