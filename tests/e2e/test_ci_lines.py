"""Tests that run the CI files' commands: a project of the template is tested, built, pushed, deployed, rolled back.

All three systems run the same commands (tests/ci), so one run covers them. And a test of how to try a deploy key.
"""

import json
import os
import re
import secrets
import shutil

import pytest

import ci_lines
from documented import block
from e2e.byhand import answers
from e2e.fleet.apps import made_project
from e2e.provisioned import Project
from proc import ROOT, edit, output, put, put_into_git
from slipway.fleet.__main__ import write_files

pytestmark = pytest.mark.extra
HOST, APP = "web1", "shop"


@pytest.fixture(scope="module")
def server(fleet, tmp_path_factory):
    """Provision a server for the project, and stage its settings."""
    fleet.reset(HOST)
    server = Project(fleet, tmp_path_factory.mktemp("servers"), APP, f"{fleet.registry.address}/{APP}")
    server.hosts = {HOST: {"roles": ["web"], "internal": fleet.hosts[HOST].address}}
    server.settings["rollout.bake"] = 2
    server.provision()
    server.set(
        SITE_URL="http://localhost",
        SECRET_KEY=secrets.token_hex(32),
        DATABASE_URL=fleet.services.new_database("ci_lines"),
    )
    return server


@pytest.fixture(scope="module")
def project(server, tmp_path_factory):
    """Return a project made from the template and committed, with a wheelhouse as from a CI's cache."""
    folder = tmp_path_factory.mktemp("a project") / APP
    shutil.copytree(made_project().folder, folder, ignore=shutil.ignore_patterns("ve"))
    shutil.copy(server.path, folder / "deploy/production.toml")
    put_into_git(folder)
    return folder


@pytest.fixture
def environment(fleet, tmp_path):
    """Return a CI job's environment: the settings of docs/ci.md, and as little as possible of this machine."""
    keys = fleet.ssh_config.parent
    return {
        **{name: os.environ[name] for name in os.environ if not re.match("GIT_|MAKE|MFLAGS", name)},
        "CI": "true",
        "APP": APP,
        "IMAGE": f"{fleet.registry.local}/{APP}",
        "REGISTRY_LOGIN": "ci:unasked",
        "DEPLOY_KEY": (keys / "id_ed25519").read_text(),
        "KNOWN_HOSTS": str(keys / "known_hosts"),
        "SSH_CONFIG": str(fleet.ssh_config),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }


def follow(commands, folder, environment, server):
    """Run the commands as a job does; the first that fails is an error. The server knows the registry by another
    address than this machine."""
    for command in commands:
        there = {"IMAGE": server.settings["image"]} if re.search("slipway (deploy|rollback)", command) else {}
        output(["sh", "-ec", command], cwd=folder, env={**environment, **there}, timeout=1500)


def release(server):
    status, body = answers(server.fleet.hosts[HOST], APP, "/readyz")
    return status, json.loads(body)["release"]


def test_the_lines_release_and_roll_back(server, project, environment):
    """A first run of all commands releases build-1, a second one build-2, and the rollback's command brings build-1
    back. No key and no change in git is left behind."""
    follow(ci_lines.commands("github"), project, {**environment, "TAG": "build-1"}, server)
    assert release(server) == (200, "build-1")
    page = project / "project/home/templates/home/ci.html"
    put(page, "new\n")
    follow(
        [
            "git add -A",
            "git -c user.name=A -c user.email=a@shop.example commit -qm 2",
            *ci_lines.commands("github")[1:],
        ],
        project,
        {**environment, "TAG": "build-2"},
        server,
    )
    assert release(server) == (200, "build-2")
    rollback = [step.command for step in ci_lines.github() if step.job == "rollback"]
    follow(rollback, project, environment, server)
    assert release(server) == (200, "build-1")
    assert output(["git", "status", "--porcelain"], cwd=project) == ""


@pytest.fixture
def reader(fleet, project, monkeypatch):
    """Return the folder and the environment of a reader whose `make fleet` has started a bare web2."""
    fleet.reset("web2")
    fleet.services.new_database("app")
    folder = project / "var/fleet"
    folder.mkdir(parents=True)
    for name in ("ssh_config", "known_hosts"):
        shutil.copy(fleet.ssh_config.with_name(name), folder)
    monkeypatch.chdir(project)
    monkeypatch.setenv("APP", APP)
    for name in ("IMAGE", "PROJECT", "TAG"):
        monkeypatch.delenv(name, raising=False)
    write_files(
        {each.machine.name: each.machine for each in (fleet.hosts["web2"], fleet.services, fleet.registry)}, folder
    )
    return folder, {name: os.environ[name] for name in os.environ if not re.match("GIT_|MAKE|MFLAGS", name)}


def test_a_deploy_key_is_tried_as_documented(fleet, project, reader):
    """The lines of docs/ci.md take a bare server of `make fleet` to a release that a deploy key alone has made."""
    folder, environment = reader
    activate = f'slipway() {{ PYTHONPATH={ROOT} {ROOT}/ve/bin/python -m slipway "$@"; }}'
    page = ROOT / "docs/ci.md"
    before, after = (block(page, first) for first in ("make fleet\n", "slipway provision\nslipway env"))
    before = before.replace("make fleet\n", "").replace(". ve/bin/activate", activate)
    output(["sh", "-ec", before], cwd=project, env=environment)
    servers, key = folder / "production.toml", (folder / "deploy-key.pub").read_text().strip()
    image = re.search('#(image = ".*")', servers.read_text())[1]
    edit(servers, 'image = "shop"\nregistry = "ssh"\n', f'{image}\ndeploy_keys = ["{key}"]\n')
    start = before.replace("ssh-keygen", ": ssh-keygen")
    said = output(["sh", "-ec", start + after], 1500, cwd=project, env=environment)
    fingerprint = output(["ssh-keygen", "-lf", folder / "deploy-key.pub"]).split()[1]
    assert fingerprint in said.rpartition("when  what")[2], said
    status, body = answers(fleet.hosts["web2"], APP, "/readyz")
    assert (status, json.loads(body)["release"]) == (200, "build-1")
