"""The command line: its messages and exit codes."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from proc import ROOT, executable, output, put, run
from slipway.deploy import __main__
from slipway.deploy.commands import plan, status
from slipway.deploy.commands import run as one_off
from slipway.deploy.errors import DeployError, Refused
from slipway.deploy.screen.overview import OTHERS

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
        f"slipway: {tmp_path}/x.toml: {problem}"
        for problem in (
            "app: 'Shop' is not a name of up to 24 characters (a-z, 0-9, -) that begins with a-z",
            "hosts.a.roles: 'web' is not a list",
        )
    ]
    with open("/dev/full", "wb") as full:
        assert (
            subprocess.run([*COMMAND, "--hosts", "web9", "env", "list"], cwd=ROOT, stderr=full, check=False).returncode
            == 2
        )


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    "address, code, message",
    [
        ("a", 2, "slipway: process: schedule: Failed to parse calendar specification '06:30 often': Invalid argument"),
        ("unreachable", 0, "schedules are not checked: a: cannot be reached"),
    ],
)
def test_a_schedule_is_checked_by_systemd(tmp_path, stub, address, code, message):
    file = put(
        tmp_path / "x.toml",
        f'[hosts.a]\naddress = "{address}"\nroles = ["digest"]\n'
        '[process.digest]\ncommand = "x"\nschedule = "06:30 often"\n',
    )
    done = deploy("--config", file, "config", "check")
    assert done.returncode == code and done.stderr.startswith(message)


@pytest.mark.parametrize(
    "words, extra, message",
    [
        (["provision", "--nothing"], {}, "unrecognized arguments: --nothing"),
        (["env", "--hosts", "web9", "list"], {}, "there is no 'web9'; the hosts are: web1, web2, work1"),
        (["--hosts", " , ", "status"], {}, "the app does not run there; the hosts are: web1, web2, work1"),
        (["plan", "build-1"], {}, "the image shop names no registry, so hosts would pull"),
        (["status"], {"PATH": "/nowhere"}, "ssh is not on this machine: install the OpenSSH client\n"),
    ],
)
def test_wrong_usage_is_exit_2(words, extra, message):
    done = deploy(*words, **extra)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


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
            "slipway: deploy/production.toml: is not TOML: Cannot overwrite a value (at line 2, column 10)"
        )


def test_a_command_leaves_its_name_in_the_journal(fleet, stub, capfd):
    """The host's journal says who ran which command, but not its arguments, which may be secrets. Without a journal it
    runs, too, with its words and exit code. Without --host it runs on the first host with web. ssh stays in the
    terminal's session: there it asks for a passphrase, and gets Ctrl-C."""
    executable(stub / "logger", """#!/bin/sh\nprintf '%s|' "$@" >"$STUB/logged"; exit 1\n""")
    executable(
        stub / "docker-runner",
        """#!/bin/sh\nprintf '%s|' "$@"; cut -d' ' -f6 /proc/$$/stat >"$STUB/session"
exit 37\n""",
    )
    words, fleet = ["manage", "shell", "-c", "it's $SECRET"], replace(fleet, hosts=fleet.hosts[::-1])
    for options, where in ((["--host=web1"], "web1"), (["--host", "work", "--"], "work"), ([], "web2")):
        assert asyncio.run(one_off.handle(fleet, __main__.parse(["run", *options, *words]))) == 37
        assert capfd.readouterr().out == "|".join(["shop", *words, ""]) and where in (stub / "address").read_text()
    said = (stub / "logged").read_text()
    assert (stub / "session").read_text() == f"{os.getsid(0)}\n"
    assert said.startswith("-t|shop-run|--|manage shell by ") and "SECRET" not in said
    with pytest.raises(DeployError, match="no host 'front'; the hosts are: work, web2, web1"):
        asyncio.run(one_off.handle(fleet, __main__.parse(["run", "--host=front", "shell"])))


@pytest.mark.parametrize("code, said", [(255, "web1: no exit code: ssh lost the host, or"), (1, ""), (0, "")])
def test_a_command_that_was_killed_there_is_told(fleet, capsys, code, said):
    """ssh ends with 255 then, without a word."""
    assert asyncio.run(one_off.run_attached(fleet.hosts[0], ["sh", "-c", f"exit {code}"])) == code
    shown = capsys.readouterr().err
    assert shown.startswith(said) and bool(shown) == bool(said)


@pytest.mark.parametrize("script, code", [("exit 7", 7), ("trap 'exit 9' TERM; echo up; sleep 20 & wait", 9)])
def test_a_command_without_a_terminal_ends_with_ssh(script, code):
    """sshd closes the stdout of a command whose ssh was ended. What ends by itself is not waited for."""
    words = one_off.with_journal_entry("shop", ["migrate"], ["sh", "-c", script], tty=False)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as command:
        command.stdout.readline()
        command.stdout.close()
        assert command.wait(30) == code


@pytest.mark.parametrize(
    "words",
    [
        "--hosts web1 env set A",
        "env --hosts web1 set A",
        "env set --hosts web1 A",
        "env set A --hosts web1",
        "env unset --hosts web1 A",
        "env list --hosts web1",
        "env set-file --hosts web1 A x",
    ],
)
def test_hosts_may_stand_anywhere(words):
    assert __main__.parse(words.split()).hosts == "web1"


def test_a_host_s_words_do_not_act_on_the_terminal(monkeypatch, capsys):
    def fail(fleet, args):
        raise DeployError("on web1: \x1b[2J gone\ud800")

    monkeypatch.setattr(status, "handle", fail)
    monkeypatch.setenv("IMAGE", "shop")
    assert __main__.main(["status"]) == 1
    assert capsys.readouterr().err == "slipway: on web1: \\x1b[2J gone\\ud800\n"


def test_help_has_the_name_of_the_program(capsys):
    with pytest.raises(SystemExit):
        __main__.parse(["--help"])
    assert capsys.readouterr().out.startswith("usage: slipway ")


def test_help_is_one_screen():
    """It lists every command once, and the targets of the folder's make without those that are commands, too."""
    done = deploy("--help")
    lines = done.stdout.splitlines()
    for name in (*__main__.COMMANDS, *OTHERS):
        assert len([line for line in lines if re.match(rf"  {name} +\S", line)]) == 1, name
    assert (
        "  Check: check, flake8, test, lint, format, coverage, doctor, clean" in lines and "Operate:" not in done.stdout
    )
    assert len(lines) < 60 and max(map(len, lines)) <= 100


def test_only_the_help_reads_what_make_offers(tmp_path, monkeypatch):
    (tmp_path / "not.mk").mkdir()
    monkeypatch.chdir(tmp_path)
    assert __main__.parse(["status"]).command == "status"


def test_a_release_that_is_not_named(tmp_path, monkeypatch):
    """It is $TAG, else what `make build` calls the checkout. An empty name is no name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAG", raising=False)
    with pytest.raises(Refused, match="name the release to deploy, such as build-42: git knows no commit here"):
        plan.chosen_tag(None)
    author = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "One"]):
        output(["git", *words])
    commit = output(["git", "rev-parse", "--short", "HEAD"]).strip()
    assert plan.chosen_tag(None) == commit
    put(tmp_path / "new")
    assert plan.chosen_tag(None) == f"{commit}-dirty"
    monkeypatch.setenv("TAG", "build-7")
    assert plan.chosen_tag(None) == "build-7" and plan.chosen_tag("build-8") == "build-8"
    with pytest.raises(Refused, match="'' is not a valid tag"):
        plan.chosen_tag("")
