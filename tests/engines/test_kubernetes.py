"""`manifests` for Kubernetes: the same bytes of the same file, held to by kustomize, by the schemas of three versions
and by what the objects mean to each other."""

import os
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from slipway.deploy import __main__
from slipway.deploy.engine.workloads import Port, Release, label, port, slug
from engines.meaning import amiss, containers, of_kind
from proc import ROOT
from services import missing

GOLDEN = ROOT / "tests/engines/golden"
TOML = GOLDEN / "shop.toml"
VERSIONS = ("1.30", "1.33", "1.36")
RIGHT = TOML.read_text()
SETTINGS = ("SITE_URL", "SECRET_KEY", "DATABASE_URL", "BROKER_URL")
DIGEST = "sha256:" + "1" * 64


@pytest.fixture(autouse=True)
def nobody_s_settings(monkeypatch):
    """What the shell around has set about servers does not count."""
    for name in ("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS", "APP", "IMAGE", "ENV"):
        monkeypatch.delenv(name, raising=False)


def make(toml, folder):
    words = ["manifests", "build-42", "--digest", DIGEST, "--out", str(folder)]
    assert __main__.main(["--config", str(toml), *words]) == 0
    return folder


def built(folder):
    """The objects as kustomize, of Debian's package kubectl, makes them."""
    (folder / "settings.env").write_text("".join(f"{name}=a # b=c\n" for name in SETTINGS))
    kubectl = shutil.which("kubectl") or missing("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return built(make(TOML, tmp_path_factory.mktemp("manifests")))


def test_the_files_are_as_they_were(tmp_path):
    """The same toml makes the same bytes. GOLDEN=1 writes them anew; then look at the difference."""
    made, golden = make(TOML, tmp_path / "made"), GOLDEN / "kubernetes"
    if os.environ.get("GOLDEN"):
        shutil.rmtree(golden, ignore_errors=True)
        shutil.copytree(made, golden)
    texts = {folder: {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")}
             for folder in (made, golden)}
    assert texts[made] == texts[golden]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_of_a_version_allows_them(objects, version):
    """With no key that it does not know."""
    assert len(objects) == 15
    for made in objects:
        kubernetes_validate.validate(made, version, strict=True)


def test_a_key_that_is_none_is_refused(objects):
    """The schemas see what a typing error would do."""
    wrong = {**objects[0], "automountServiceAccountTokens": False}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_they_fit_each_other(objects):
    assert amiss(objects, SETTINGS) == []
    secret = next(made for made in objects if made["kind"] == "Secret")
    assert secret["metadata"]["name"].startswith("shop-settings-"), "its name tells its content"
    assert {made["metadata"]["namespace"] for made in objects} == {"shop"}


def change(data, old, new):
    """The same data, with other scalars where these are, keys of dicts aside; whether any was there."""
    if isinstance(data, dict):
        return {key: change(value, old, new) if (key, value) != old else new for key, value in data.items()}
    return [change(value, old, new) for value in data] if isinstance(data, list) else data


@pytest.mark.parametrize("key, right, wrong", [
    ("path", "/readyz", "/ready"), ("path", "/healthz", "/"), ("containerPort", 8000, 8080),
    ("targetPort", "http", "web"), ("containerPort", 2525, 25), ("maxUnavailable", 0, 1),
    ("type", "Recreate", "RollingUpdate"),
    ("key", "SECRET_KEY", "SECRET"), ("runAsNonRoot", True, False), ("allowPrivilegeEscalation", False, True),
    ("readOnlyRootFilesystem", True, False), ("drop", ["ALL"], []), ("serviceAccountName", "shop", "root"),
    ("value", "8000", "80"), ("terminationGracePeriodSeconds", 65, 30),
    ("port", {"name": "http"}, {"name": "web"}), ("host", "shop.example", "shop.test"),
    ("ports", [{"port": 8000, "protocol": "TCP"}], [{"port": 2525, "protocol": "TCP"}]),
    ("scaleTargetRef", {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-web"}, {"name": "shop"}),
    ("image", f"registry.example/shop@{DIGEST}", "registry.example/shop:build-42"),
    ("matchLabels", {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "web"},
     {"app.kubernetes.io/name": "shop"}),
    ("selector", {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "web"},
     {"app.kubernetes.io/component": "wob"})], ids=str)
def test_what_is_wrong_is_noticed(objects, key, right, wrong):
    """The check fails when what it is about is broken."""
    broken = change(objects, (key, right), wrong)
    assert broken != objects and amiss(broken, SETTINGS)


def test_a_setting_that_is_new_is_in_each_pod(objects):
    assert len(amiss(objects, [*SETTINGS, "EMAIL_URL"])) == 5


def test_what_was_there_stays_where_it_can(tmp_path):
    """Without the keys that may be left out there is one Secret of the team's, no autoscaler, no class, no TLS."""
    toml = tmp_path / "x.toml"
    toml.write_text('app = "shop"\nimage = "shop"\nmedia = "database"\n[engine]\nkind = "kubernetes"\n'
                    'secret = "ours"\nnamespace = "other"\nsettings = ["SITE_URL"]\nreplicas = { web = 1 }\n')
    objects = built(make(toml, tmp_path / "made"))
    kinds = [made["kind"] for made in objects]
    assert sorted(kinds) == ["Deployment", "Deployment", "Deployment", "Ingress", "Job", "NetworkPolicy",
                             "NetworkPolicy", "Service", "ServiceAccount"]
    assert amiss([*objects, {"kind": "Secret", "metadata": {"name": "ours"}}], ["SITE_URL"], []) == []
    assert {made["metadata"]["namespace"] for made in objects} == {"other"}


@pytest.mark.parametrize("published, is_", [
    ("25:2525", Port(25, 2525)), ("127.0.0.1:53:5353/udp", Port(53, 5353, "UDP"))])
def test_ports(published, is_):
    assert port(published) == is_


TAGS = ["build-42", "V1.2_x", "v1.2-x", "a" * 128, "a" * 127 + "b", "__", "x.."]


def test_a_tag_in_names():
    """Whatever a tag is, its Job has a name of its own, and its pods have a label."""
    names = [slug(Release(tag, DIGEST)) for tag in TAGS]
    assert len({*names}) == len(TAGS) and all(re.fullmatch("[a-z0-9][a-z0-9-]{0,28}[a-z0-9]", name) for name in names)
    assert all(re.fullmatch("|[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label(tag)) for tag in TAGS)


@pytest.mark.parametrize("memory, limits", [("1g", {"memory": "1Gi"}), ("auto", {"memory": "512Mi"}), ("off", None)])
def test_memory(tmp_path, memory, limits):
    (tmp_path / "x.toml").write_text(RIGHT.replace('memory = "1g"', f'memory = "{memory}"'))
    objects = built(make(tmp_path / "x.toml", tmp_path / "made"))
    assert all(box["resources"].get("limits") == limits for _, box in containers(objects))


def test_what_no_longer_runs_is_stopped(tmp_path):
    """A process without a container is there, with none."""
    (tmp_path / "x.toml").write_text(RIGHT.replace("worker = 1", ""))
    objects = built(make(tmp_path / "x.toml", tmp_path / "made"))
    assert {one["metadata"]["name"]: one["spec"].get("replicas") for one in of_kind(objects, "Deployment")} == {
        "shop-web": None, "shop-worker": 0, "shop-beat": 1, "shop-smtp": 1}


def test_two_ports_of_one_number(tmp_path):
    """They differ by protocol."""
    toml = tmp_path / "x.toml"
    toml.write_text(RIGHT.replace('["25:2525"]', '["53:5353/udp", "53:5353"]'))
    objects = built(make(toml, tmp_path / "made"))
    service = next(one for one in of_kind(objects, "Service") if one["metadata"]["name"] == "shop-smtp")
    assert [(one["port"], one["protocol"]) for one in service["spec"]["ports"]] == [(53, "UDP"), (53, "TCP")]
    assert amiss(objects, SETTINGS) == []


def with_bucket(folder):
    """The file of a shop whose static files go to a bucket."""
    folder.joinpath("x.toml").write_text(RIGHT.replace('"BROKER_URL"]', '"BROKER_URL", "STATIC_STORAGE_URL"]') + (
        '[static]\npublish = "s3://shop-static/shop"\nseconds = 200\n'))
    return folder / "x.toml"


def test_static_files_reach_a_bucket_before_the_migrations(tmp_path, monkeypatch):
    """In the same Job, in as much more time, with the bucket's key; so before all else that a rollout applies."""
    monkeypatch.setattr("engines.test_kubernetes.SETTINGS", (*SETTINGS, "STATIC_STORAGE_URL"))
    objects = built(make(with_bucket(tmp_path), tmp_path / "made"))
    [job] = of_kind(objects, "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "collectstatic", "s3://shop-static/shop", "migrate"]
    assert job["spec"]["activeDeadlineSeconds"] == 500 and job["metadata"]["labels"]["rollout-step"] == "before"
    assert amiss(objects, [*SETTINGS, "STATIC_STORAGE_URL"]) == []
    for version in VERSIONS:
        kubernetes_validate.validate(job, version, strict=True)


# ---- what is refused ----


@pytest.mark.parametrize("old, new, said", [
    ("web = 2\n", "", "engine.replicas.web: is needed: how many containers answer visitors"),
    ("beat = 1", "beat = 2", "engine.replicas.beat: only one beat may run"),
    ("web = 6", "beat = 1", "engine.most.beat: only processes that may run beside each other grow with load"),
    ("worker = 1", "workers = 1",
     "engine.replicas.workers: there is no such process; there are web, worker, beat, smtp"),
    ("worker = 1", "worker = -1", "engine.replicas.worker: -1 is not a whole number from 0 to 10000"),
    ('media = "bucket"', 'media = "local"',
     'media: "local" files would differ between containers; use "database" or "bucket"'),
    ("[engine]", "[hosts.web1]\nroles = ['web']\n[engine]",
     'hosts: has no meaning with engine.kind = "kubernetes"'),
    ('kind = "kubernetes"', "", "hosts: is missing"),
    ('[engine]\nkind = "kubernetes"', "[hosts.web1]\nroles = ['web']\n[engine]",
     'engine.replicas: counts only with another engine.kind than "hosts"'),
    ('tls = "shop-tls"', 'tls = "Shop"', "engine.tls: 'Shop' is not a name of small letters, digits, - and ."),
    ("smtp = 1", "", "engine.replicas.smtp: is needed: how many there are, or 0"),
    ("smtp", "release", "process.release: the name is used for something else with engine.kind = \"kubernetes\""),
    ('"SITE_URL"', '"PORT"', "engine.settings: PORT is not for you to set"),
    ('["SITE_URL", "SECRET_KEY", "DATABASE_URL", "BROKER_URL"]', "[]", "engine.settings: is needed: "),
    ("memory = ", "opts = '-e A=b'\nmemory = ", "opts: has no meaning with engine.kind = \"kubernetes\""),
    ("[site]", "[static]\npublish = 's3://shop'\n[site]",
     "engine.settings: static.publish needs STATIC_STORAGE_URL, or a STORAGE_URL that is a bucket's"),
    ("memory = ", "registry = 'ssh'\nmemory = ", "registry: has no meaning with engine.kind = \"kubernetes\""),
])
def test_what_the_file_must_not_say(tmp_path, capsys, old, new, said):
    """One line each, and nothing is written."""
    assert old in RIGHT
    (tmp_path / "x.toml").write_text(RIGHT.replace(old, new))
    words = ["--config", str(tmp_path / "x.toml"), "manifests", "build-42", "--out", str(tmp_path / "made")]
    assert __main__.main(words) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "made").exists()


@pytest.mark.parametrize("words, said", [
    (["manifests", "build-42", "--digest", "sha256:12"], "--digest sha256:12: it is sha256: and 64 digits"),
    (["manifests", "a b"], "'a b' is no tag of an image: say which release, TAG=build-42"),
    (["manifests", "b-dirty"], "b-dirty has what no commit holds, so nobody could build it again: commit, make build,"
     " make push"),
    (["status"], "engine.kind is 'kubernetes': make manifests, and go on as docs/engines.md says"),
    (["deploy", "build-42"], "engine.kind is 'kubernetes': make manifests, and go on as docs/engines.md says")])
def test_what_cannot_be_asked_for(tmp_path, capsys, words, said):
    assert __main__.main(["--config", str(TOML), *words]) == 2
    assert capsys.readouterr().err == f"deploy: {said}\n"
