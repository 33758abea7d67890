"""`manifests` for platforms: the same bytes of the same file, and what each reads in them."""

import os
import shutil
import tomllib

import pytest
import yaml

from slipway.deploy import __main__
from slipway.deploy.engine.platforms import PLATFORMS
from engines.test_kubernetes import (DIGEST, GOLDEN, SETTINGS, TOML, nobody_s_settings,  # noqa: F401: a fixture
                                     with_bucket)

IMAGE = f"registry.example/shop@{DIGEST}"


def make(platform, folder):
    words = ["--config", str(TOML), "manifests", "build-42", "--engine", platform, "--digest", DIGEST]
    assert __main__.main([*words, "--out", str(folder)]) == 0
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_words_stay_words(tmp_path):
    """What a command quotes a shell of the platform finds quoted."""
    (tmp_path / "x.toml").write_text(TOML.read_text().replace("manage smtpd", "manage smtpd --motd 'a b; rm x'"))
    words = ["--config", str(tmp_path / "x.toml"), "manifests", "build-42", "--engine", "procfile", "--digest", DIGEST]
    assert __main__.main([*words, "--out", str(tmp_path / "made")]) == 0
    assert "smtp: exec /app/docker-run.sh manage smtpd --motd 'a b; rm x'\n" in (tmp_path / "made/Procfile").read_text()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_files_are_as_they_were(tmp_path, platform):
    """The same toml makes the same bytes. GOLDEN=1 writes them anew; then look at the difference."""
    made, golden = make(platform, tmp_path), GOLDEN / platform
    if os.environ.get("GOLDEN"):
        shutil.rmtree(golden, ignore_errors=True)
        shutil.copytree(tmp_path, golden)
    assert made == {path.name: path.read_text() for path in golden.iterdir()}


PREPARES = {
    "fly": ("fly.toml", 'release_command = "collectstatic s3://shop-static/shop migrate"\n'),
    "render": ("render.yaml", 'preDeployCommand: "/app/docker-run.sh collectstatic s3://shop-static/shop migrate"\n'),
    "cloudrun": ("migrate.yaml", 'timeoutSeconds: "500"\n'),
    "heroku": ("heroku.yml", '- "/app/docker-run.sh collectstatic s3://shop-static/shop migrate"\n'),
    "procfile": ("Procfile", "release: /app/docker-run.sh collectstatic s3://shop-static/shop migrate\n")}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_static_files_reach_a_bucket_before_the_migrations(tmp_path, platform):
    """By the one command that each platform runs before a release."""
    words = ["--config", str(with_bucket(tmp_path)), "manifests", "build-42", "--engine", platform, "--digest", DIGEST]
    assert __main__.main([*words, "--out", str(tmp_path / "made")]) == 0
    name, line = PREPARES[platform]
    said = (tmp_path / "made" / name).read_text()
    assert line in said
    if platform == "cloudrun":
        [box] = yaml.safe_load(said)["spec"]["template"]["spec"]["template"]["spec"]["containers"]
        assert box["args"] == ["collectstatic", "s3://shop-static/shop", "migrate"]


def test_fly(tmp_path):
    """Its machines have the processes as commands of the image; the site's is asked for /readyz."""
    said = tomllib.loads(make("fly", tmp_path)["fly.toml"])
    assert said["build"]["image"] == IMAGE and said["deploy"]["release_command"] == "migrate"
    assert said["processes"] == {"web": "run", "worker": "worker", "beat": "beat", "smtp": "manage smtpd"}
    site = said["http_service"]
    assert site["processes"] == ["web"] and site["internal_port"] == 8000 and site["checks"][0]["path"] == "/readyz"
    assert said["kill_signal"] == "SIGTERM", "its own default is INT"


def test_render(tmp_path):
    """One service takes visitors, and migrates before; the dashboard asks for every setting of each."""
    said = yaml.safe_load(make("render", tmp_path)["render.yaml"])
    [web] = [one for one in said["services"] if one["type"] == "web"]
    assert web["healthCheckPath"] == "/readyz" and web["preDeployCommand"].endswith(" migrate")
    asked = [{"key": name, "sync": False} for name in SETTINGS]
    assert all(one["image"]["url"] == IMAGE and one["envVars"][:len(asked)] == asked for one in said["services"])
    assert web["envVars"][len(asked):] == [{"key": "WEB_THREADS", "value": "32"}]


def test_cloud_run(tmp_path):
    """The service and the job have the same image and every setting."""
    made = make("cloudrun", tmp_path)
    service, job = (yaml.safe_load(made[name]) for name in ("service.yaml", "migrate.yaml"))
    boxes = [service["spec"]["template"]["spec"]["containers"],
             job["spec"]["template"]["spec"]["template"]["spec"]["containers"]]
    for [box], words in zip(boxes, (["run"], ["migrate"]), strict=True):
        assert box["image"] == IMAGE and box["args"] == words
        assert [one["name"] for one in box["env"]] == [*SETTINGS, "WEB_THREADS"]
    assert boxes[0][0]["startupProbe"]["httpGet"] == {"path": "/readyz", "port": 8000}


def test_heroku_and_a_procfile(tmp_path):
    """Both have the release phase and a line for each process."""
    made, lines = make("heroku", tmp_path / "h"), make("procfile", tmp_path / "p")["Procfile"].splitlines()
    said = yaml.safe_load(made["heroku.yml"])
    assert f"FROM {IMAGE}\n" in made["Dockerfile.heroku"]
    assert dict(line.split(": ", 1) for line in lines) == {
        "release": said["release"]["command"][0], **{name: one["command"][0] for name, one in said["run"].items()}}
    assert [*said["run"]] == ["web", "worker", "beat", "smtp"]
