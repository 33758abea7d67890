"""The command line: what it prints, and its exit codes."""

import os
import sys

import pytest

from deploy import __main__
from deploy.commands import prune
from deploy.errors import DeployError, Locked
from proc import ROOT, run

WRONG = 'app = "Shop"\nimage = "x"\n[hosts.a]\nroles = ["wroker"]\n'


def deploy(*words, **options):
    return run([sys.executable, "-m", "deploy", *words], cwd=ROOT, **options)


def test_config_check_shows_the_hosts():
    """A configuration that is right is shown: app, image, a line a host."""
    done = deploy("config", "check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "slipway, image registry.example/slipway"
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["web1", "web2", "work1"]


def test_a_wrong_configuration_is_told_whole(tmp_path):
    """All mistakes, a line each with the file's name, exit 2, no traceback; with -v there is one."""
    (tmp_path / "x.toml").write_text(WRONG)
    done = deploy("--config", tmp_path / "x.toml", "config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"deploy: {tmp_path}/x.toml: {problem}" for problem in (
            "app: 'Shop' is not a name of at most 24 small letters, digits and -, a letter first",
            "hosts.a.roles[0]: 'wroker' is none of web, worker, beat")]
    assert "Traceback" in deploy("-v", "--config", tmp_path / "x.toml", "config", "check").stderr


def test_wrong_usage_is_exit_2():
    """An unknown command, option or host is refused before anything else."""
    for words in (["nothing"], ["provision", "--nothing"], ["--hosts", "web9", "env", "list"]):
        assert deploy(*words).returncode == 2
    for words in (["--hosts", "web9", "env", "list"], ["env", "--hosts", "web9", "list"]):
        assert "there is no 'web9'; there are: web1, web2, work1" in deploy(*words).stderr


@pytest.mark.parametrize("error, code", [(DeployError("x"), 1), (Locked("x"), 4), (KeyboardInterrupt(), 130)])
def test_errors_become_exit_codes(monkeypatch, capsys, error, code):
    """Each kind of error has its code, and a line on stderr."""
    def fail(fleet, args):
        raise error
    monkeypatch.setattr(prune, "handle", fail)
    assert __main__.main(["prune"]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_provisioning_without_its_packages_says_what_to_do():
    """Where pyinfra is not installed, provisioning names it and the target that installs it."""
    done = run([sys.executable, "-S", "-m", "deploy", "provision"], cwd=ROOT, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 2
    assert done.stderr == "deploy: provisioning needs pyinfra, which is not installed: run make provision\n"
