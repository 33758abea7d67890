"""The command line: what it prints, and its exit codes."""

import os
import shutil
import subprocess
import sys

import pytest

from slipway.deploy import __main__
from slipway.deploy.commands import status
from slipway.deploy.errors import DeployError, Locked
from proc import ROOT, run

WRONG = 'app = "Shop"\nimage = "x"\n[hosts.a]\nroles = ["wroker"]\n'


COMMAND = [sys.executable, "-m", "slipway.deploy"]


def deploy(*words):
    return run([*COMMAND, *words], cwd=ROOT, env={**os.environ, "APP": "shop", "IMAGE": "shop"})


def test_config_check_shows_the_hosts():
    """A configuration that is right is shown: app, image, a line a host."""
    done = deploy("config", "check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "slipway, image shop"
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["web1", "web2", "work1"]


def test_a_wrong_configuration_is_told_whole(tmp_path):
    """All mistakes, a line each with the file's name, exit 2, no traceback; with -v there is one. Exit 2 it is, too,
    where nobody reads it."""
    (tmp_path / "x.toml").write_text(WRONG)
    done = deploy("--config", tmp_path / "x.toml", "config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"deploy: {tmp_path}/x.toml: {problem}" for problem in (
            "app: 'Shop' is not a name of at most 24 small letters, digits and -, a letter first",
            "hosts.a.roles[0]: 'wroker' is none of web, worker, beat")]
    assert "Traceback" in deploy("-v", "--config", tmp_path / "x.toml", "config", "check").stderr
    with open("/dev/full", "wb") as full:
        assert subprocess.run(COMMAND + ["--hosts", "web9", "env", "list"], cwd=ROOT, stderr=full).returncode == 2


def test_wrong_usage_is_exit_2():
    """An unknown command, option or host is refused before anything else."""
    for words in (["nothing"], ["provision", "--nothing"], ["--hosts", "web9", "env", "list"]):
        assert deploy(*words).returncode == 2
    for words in (["--hosts", "web9", "env", "list"], ["env", "--hosts", "web9", "list"]):
        assert "there is no 'web9'; there are: web1, web2, work1" in deploy(*words).stderr


def test_an_image_without_a_registry_is_not_deployed():
    """Hosts would pull what a stranger has put on Docker Hub under that name."""
    done = deploy("plan", "build-1")
    assert done.returncode == 2 and done.stderr == (
        "deploy: the image shop names no registry, so hosts would pull a stranger's: set IMAGE in the Makefile, such "
        'as registry.example/shop, or registry = "ssh"\n')


def test_a_file_that_is_no_toml_is_told_before_anything_is_installed(tmp_path):
    """By file, line and what; nothing has made a virtualenv."""
    for name in ("make", "deploy", "slipway", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "deploy.mk", tmp_path)
    (tmp_path / "deploy/production.toml").write_text('registry = "ssh"\n[registry]\n')
    for target in ("provision", "drain", "config-check"):
        done = run(["make", "-f", "deploy.mk", target, "REQUIREMENTS=", f"PYTHON={sys.executable}"], cwd=tmp_path)
        assert done.returncode == 2 and not (tmp_path / "ve").exists(), done.stderr
        assert done.stderr.splitlines()[0] == (
            "deploy: deploy/production.toml: is not TOML: Cannot overwrite a value (at line 2, column 10)")


@pytest.mark.parametrize("error, code, said", [
    (DeployError("on web1: \x1b[2J gone\ud800"), 1, "deploy: on web1: \\x1b[2J gone\\ud800\n"),
    (Locked("x"), 4, "deploy: x\n"), (KeyboardInterrupt(), 130, "deploy: interrupted\n")])
def test_errors_become_exit_codes(monkeypatch, capsys, error, code, said):
    """Each kind of error has its code, and a line on stderr, in which nothing acts on the terminal."""
    def fail(fleet, args):
        raise error
    monkeypatch.setattr(status, "handle", fail)
    monkeypatch.setenv("IMAGE", "shop")
    assert __main__.main(["status"]) == code
    assert capsys.readouterr().err == said
