"""Tests of examples/kubernetes and examples/platforms: kubectl builds them, schemas accept them, and the image fits."""

import os
import re
import secrets
import shutil
import tomllib

import kubernetes_validate
import pytest
import yaml

from proc import ROOT, executable, output, run
from services import missing
from slipway.deploy.agent.roles import BUILT_IN
from slipway.health import probes

CLUSTER, PLATFORMS = ROOT / "examples/kubernetes", ROOT / "examples/platforms"
SETTINGS = dict(re.findall("^([A-Z_]+)=(.*)", (CLUSTER / "production/settings.env.example").read_text(), re.MULTILINE))
WANTED = {**{name: process.command for name, process in BUILT_IN.items()}, "release": "migrate"}  # process: command
FLY, RENDER, HEROKU, SERVICE, JOB = (
    (tomllib.loads if name.endswith("toml") else yaml.safe_load)((PLATFORMS / name).read_text())
    for name in ("fly.toml", "render.yaml", "heroku.yml", "cloudrun-service.yaml", "cloudrun-migrate.yaml")
)
[SITE] = SERVICE["spec"]["template"]["spec"]["containers"]
[BEFORE] = JOB["spec"]["template"]["spec"]["template"]["spec"]["containers"]
KNOWN = {
    *"""app kill_signal kill_timeout build deploy env processes http_service vm internal_port force_https
    auto_stop_machines min_machines_running checks type name runtime image dockerCommand preDeployCommand
    healthCheckPath numInstances maxShutdownDelaySeconds envVars""".split()
}  # from the documentation of Fly and Render


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return {(kind, name): object} as kubectl builds them from the overlay."""
    folder = shutil.copytree(CLUSTER, tmp_path_factory.mktemp("cluster"), dirs_exist_ok=True)
    shutil.copy(folder / "production/settings.env.example", folder / "production/settings.env")
    text = output([shutil.which("kubectl") or missing("kubectl"), "kustomize", folder / "production"])
    return {(made["kind"], made["metadata"]["name"]): made for made in yaml.safe_load_all(text)}


@pytest.fixture
def pods(built):
    """Return {process: its pod}."""
    return {
        "release" if name == "migrate" else name: made["spec"]["template"]["spec"]
        for (kind, name), made in built.items()
        if kind in ("Deployment", "Job")
    }


@pytest.mark.parametrize("version", ["1.30", "1.36"])
def test_schemas_know_every_key(built, version):
    pod = {"containers": [{"name": "site", **SITE}, {"name": "before", **BEFORE}]}  # Cloud Run uses a pod's schema
    for made in [*built.values(), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}]:
        kubernetes_validate.validate(made, version, strict=True)
    assert all(part.keys() <= KNOWN for part in (FLY, FLY["http_service"], *RENDER["services"]))
    assert max(FLY["kill_timeout"], *(one["maxShutdownDelaySeconds"] for one in RENDER["services"])) <= 300


def test_the_objects_fit_each_other(built, pods):
    """Selectors match only the pods of their object's name, visitors reach the site, and all pods have the settings."""
    labels = {name: built["Deployment", name]["spec"]["template"]["metadata"]["labels"] for name in BUILT_IN}
    for key in (*(("Deployment", name) for name in labels), ("Service", "web"), ("PodDisruptionBudget", "web")):
        selector = built[key]["spec"]["selector"]
        pairs = selector.get("matchLabels", selector)
        assert [one for one, has in labels.items() if pairs.items() <= has.items()] == [key[1]], key
    [rule], [port] = built["Ingress", "web"]["spec"]["rules"], built["Service", "web"]["spec"]["ports"]
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "web", "port": {"name": port["name"]}}}
    assert port["targetPort"] in [one["name"] for one in pods["web"]["containers"][0]["ports"]]
    [secret] = [name for kind, name in built if kind == "Secret"]
    assert re.fullmatch("settings-[a-z0-9]{10}", secret), "its name tells its content"
    assert all(pod["containers"][0]["envFrom"] == [{"secretRef": {"name": secret}}] for pod in pods.values())


def test_how_pods_live_and_end(built, pods):
    """Pods have no rights. The old web stays until the new one is ready, beat is one, and stop times are a host's."""
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert [box["securityContext"] for box in pod["containers"]] == [
            {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        ], name
    web, beat = built["Deployment", "web"]["spec"], built["Deployment", "beat"]["spec"]
    assert web["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (beat["strategy"], beat["replicas"]) == ({"type": "Recreate"}, 1)
    drain = int(pods["web"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert {name: pods[name]["terminationGracePeriodSeconds"] for name in BUILT_IN} == {
        name: process.stop + (drain if name == "web" else 0) for name, process in BUILT_IN.items()
    }


def test_what_is_asked_of_the_site(pods):
    """Traffic waits for /readyz. Every probe's path is one that the image answers to anybody, at the right port."""
    [box], fly = pods["web"]["containers"], FLY["http_service"]
    asked = [(kind, one["httpGet"]) for of in (box, SITE) for kind, one in of.items() if kind.endswith("Probe")]
    port = int(re.findall(r"^EXPOSE (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0])
    assert len(asked) == 5 and all(get["path"] in probes.OPEN and get["port"] in ("http", port) for _, get in asked)
    assert [of["ports"][0]["containerPort"] for of in (box, SITE)] + [fly["internal_port"]] == [port] * 3
    first = [get["path"] for kind, get in asked if kind == "startupProbe"]
    assert [*first, fly["checks"][0]["path"], RENDER["services"][0]["healthCheckPath"]] == ["/readyz"] * 4


def test_the_image_s_own_commands(pods, tmp_path):
    """docker-run.sh, called as by each platform, starts the same programs as on a host. Programs are stand-ins."""
    shutil.copy(ROOT / "docker-run.sh", tmp_path)
    for name in ("python", "celery"):
        executable(tmp_path / name, '#!/bin/sh\necho "${0##*/} $*"')

    def started(words):  # a string is for a shell
        command = (
            ["sh", "-c", words.replace("/app/", f"{tmp_path}/")]
            if isinstance(words, str)
            else [tmp_path / "docker-run.sh", *words]
        )
        return run(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}).stdout

    platforms = [
        {name: pod["containers"][0]["args"] for name, pod in pods.items()},
        {
            **{name: line.split() for name, line in FLY["processes"].items()},
            "release": FLY["deploy"]["release_command"].split(),
        },
        {
            **{one["name"].removeprefix("shop-"): one["dockerCommand"].split() for one in RENDER["services"]},
            "release": RENDER["services"][0]["preDeployCommand"].split(),
        },
        {"web": SITE["args"], "release": BEFORE["args"], "worker": ["worker"], "beat": ["beat"]},
        {name: one["command"][0] for name, one in {**HEROKU["run"], "release": HEROKU["release"]}.items()},
        dict(line.split(": ", 1) for line in (PLATFORMS / "Procfile").read_text().splitlines()),
    ]
    wanted = {name: started([command]) for name, command in WANTED.items()}
    assert all(wanted.values()) and all(
        {name: started(words) for name, words in commands.items()} == wanted for commands in platforms
    )


def test_settings_and_threads():
    """The image accepts the example's settings. Each platform lists all of them, and has compose.yaml's threads."""
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "project.settings_docker", **SETTINGS}
    check = [ROOT / "ve/bin/python", "manage.py", "version"]
    assert run(check, cwd=ROOT, env=env).returncode == 64, "SECRET_KEY is for everybody to choose"
    assert run(check, cwd=ROOT, env={**env, "SECRET_KEY": secrets.token_hex(32)}).stderr == ""
    for one in [*RENDER["services"], SITE, BEFORE]:
        names = {entry.get("key") or entry["name"] for entry in one.get("envVars") or one["env"]}
        assert names - {"WEB_THREADS"} == SETTINGS.keys()
    texts = [path.read_text() for path in (ROOT / "compose.yaml", *sorted(PLATFORMS.glob("[!R]*")))]
    threads = re.findall(r'WEB_THREADS(?:=|: | = "|, value: ")(\d+)', "".join(texts))
    assert len(threads) == 6 and len({*threads}) == 1, threads


def test_a_rollout(tmp_path):
    """rollout.sh takes the whole release back if one deployment is not ready, and reports it. kubectl is a stand-in."""
    shutil.copytree(CLUSTER, tmp_path, dirs_exist_ok=True)
    executable(tmp_path / "kubectl", '#!/bin/sh\necho "$*"; case "$*" in *"status deployment/$AMISS") exit 1 ;; esac')
    lines = {
        name: run([tmp_path / "rollout.sh"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "AMISS": name})
        for name in ("", "worker")
    }
    good, bad = (done.stdout.replace("--namespace shop ", "").splitlines() for done in lines.values())
    assert [line.split()[0] for line in good] == ["delete", "apply", "wait", "apply", "rollout", "rollout", "rollout"]
    assert bad == [*good[:6], "rollout undo deployment/web deployment/worker deployment/beat"]
    assert [done.returncode for done in lines.values()] == [0, 1] and "worker does not get" in lines["worker"].stderr
