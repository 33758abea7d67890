"""The command line: its messages and exit codes."""

import os
import shutil
import subprocess
import sys

import pytest

from slipway.deploy import __main__
from slipway.deploy.commands import status
from slipway.deploy.errors import DeployError
from proc import ROOT, run

WRONG = 'app = "Shop"\nimage = "x"\n[hosts.a]\nroles = "web"\n'

COMMAND = [sys.executable, "-m", "slipway.deploy"]


def deploy(*words, python=COMMAND[:1], **env):
    return run([*python, *COMMAND[1:], *words], cwd=ROOT, env={**os.environ, "APP": "shop", "IMAGE": "shop", **env})


def test_a_configuration_is_told_whole(tmp_path):
    done = deploy("config", "check")
    assert done.returncode == 0 and done.stdout.startswith("slipway, image shop\n  web1 "), done.stderr
    (tmp_path / "x.toml").write_text(WRONG)
    done = deploy("--config", tmp_path / "x.toml", "config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"deploy: {tmp_path}/x.toml: {problem}" for problem in (
            "app: 'Shop' is not a name of up to 24 characters (a-z, 0-9, -) that begins with a-z",
            "hosts.a.roles: 'web' is not a list")]
    with open("/dev/full", "wb") as full:
        assert subprocess.run(COMMAND + ["--hosts", "web9", "env", "list"], cwd=ROOT, stderr=full).returncode == 2


@pytest.mark.parametrize("words, more, said", [
    (["provision", "--nothing"], {}, "unrecognized arguments: --nothing"),
    (["env", "--hosts", "web9", "list"], {}, "there is no 'web9'; the hosts are: web1, web2, work1"),
    (["--hosts", " , ", "status"], {}, "the app does not run there; the hosts are: web1, web2, work1"),
    (["plan", "build-1"], {}, "the image shop names no registry, so hosts would pull"),
    (["status"], {"PATH": "/nowhere"}, "ssh is not on this machine: install the OpenSSH client\n"),
    (["provision"], {"python": [sys.executable, "-S"]}, "pyinfra is not installed: run this command by make")])
def test_wrong_usage_is_exit_2(words, more, said):
    done = deploy(*words, **more)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_file_that_is_no_toml_is_told_before_anything_is_installed(tmp_path):
    for name in ("deploy", "slipway", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("deploy.mk", "ve.mk"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "deploy/production.toml").write_text('registry = "ssh"\n[registry]\n')
    for target in ("provision", "drain", "config-check"):
        done = run(["make", "-f", "deploy.mk", target, "REQUIREMENTS=", f"PYTHON={sys.executable}"], cwd=tmp_path)
        assert done.returncode == 2 and not (tmp_path / "ve").exists(), done.stderr
        assert done.stderr.splitlines()[0] == (
            "deploy: deploy/production.toml: is not TOML: Cannot overwrite a value (at line 2, column 10)")


def test_a_host_s_words_do_not_act_on_the_terminal(monkeypatch, capsys):
    def fail(fleet, args):
        raise DeployError("on web1: \x1b[2J gone\ud800")
    monkeypatch.setattr(status, "handle", fail)
    monkeypatch.setenv("IMAGE", "shop")
    assert __main__.main(["status"]) == 1
    assert capsys.readouterr().err == "deploy: on web1: \\x1b[2J gone\\ud800\n"
