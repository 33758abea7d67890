"""The gate of deploy keys: what it starts for whoever has one, and what it refuses."""

import argparse
import fcntl
import os
import shlex
import subprocess
import sys

import pytest

from deployer.conftest import TOML, fleet_of
from deployer.test_keys import DEPLOY, LOOK, WITH_KEYS
from proc import executable
from slipway.deploy.commands import logs
from slipway.deploy.config.ssh import PREFIX, Ssh
from slipway.deploy.log import search
from slipway.deploy.server import gate as gate_module
from slipway.deploy.server import keys
from slipway.deploy.ssh import bootstrap


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """The program, as provisioning writes it, where systemd-run is a stub that only notes its options."""
    folder = tmp_path_factory.mktemp("gate")
    stub = executable(folder / "systemd-run", f'#!/bin/sh\necho "$@" >>{folder}/ran\nshift 4\nexec "$@"\n')
    text = keys.gate(fleet_of({**TOML}, WITH_KEYS)).content
    for old, new in (("/usr/bin/systemd-run", stub), ('PLACES = "/run"', f'PLACES = "{folder}"')):
        assert str(old) in text
        text = text.replace(str(old), str(new))
    (folder / "shop-gate").write_text(text)
    return folder / "shop-gate"


def ask(gate, line, *words, input=""):
    env = {"PATH": os.environ["PATH"], **({} if line is None else {"SSH_ORIGINAL_COMMAND": line})}
    return subprocess.run(
        [sys.executable, "-IS", gate, *words],
        env=env,
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def by_deployer(words):
    return shlex.join([*PREFIX, *words])


JOURNAL = ["journalctl", "--quiet", "--no-pager", "--all", "-o", "json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER"]
START = bootstrap.command("shop")
OTHERS = {
    "no command": None,
    "an empty one": "",
    "a shell": "sh",
    "a shell's command": "sh -c 'id >/tmp/canary'",
    "the deployer's prefix alone": by_deployer([]),
    "a command after it": by_deployer(["id"]),
    "scp": "scp -t /",
    "sftp": "/usr/lib/openssh/sftp-server",
    "rsync": "rsync --server -e.LsfxC . /",
    "a program of the client": by_deployer([*START[:5], "open('/tmp/canary', 'w')", *START[6:]]) + " x",
    "another app": by_deployer(bootstrap.command("blog")),
    "another mode": by_deployer([*START[:6], "work", *START[7:]]),
    "one word more": by_deployer([*START, "x"]),
    "an unclosed quote": "journalctl '",
    "a line feed": by_deployer(START) + "\nid",
    "another program's log": shlex.join([*JOURNAL, "-t", "sudo"]),
    "all logs": shlex.join(JOURNAL),
    "another app's log": shlex.join([*JOURNAL, "-t", "shop-blog-web-a"]),
    "a folder": shlex.join([*JOURNAL, "-D", "/", "-t", "shop-web-a"]),
    "a file": shlex.join([*JOURNAL, "--file=/etc/shadow", "-t", "shop-web-a"]),
    "a cursor's file": shlex.join([*JOURNAL, "--cursor-file=/etc/x", "-t", "shop-web-a"]),
    "a vacuum": shlex.join([*JOURNAL, "--vacuum-size=1", "-t", "shop-web-a"]),
    "a field": shlex.join([*JOURNAL, "-t", "shop-web-a", "+", "_UID=0"]),
    "other fields": shlex.join(["journalctl", "-o", "export", "-t", "shop-web-a"]),
    "an option's value that is missing": shlex.join([*JOURNAL, "-t"]),
    "other options first": shlex.join(["journalctl", *["--file=/etc/shadow"] * 6, "-t", "shop-web-a"]),
    **{
        f"{word} left out": shlex.join(["--merge" if each == word else each for each in JOURNAL]) + " -t shop-web-a"
        for word in JOURNAL
    },
    "another program before its name": shlex.join(["cat", *JOURNAL, "-t", "shop-web-a"]),
    "more after a name": shlex.join([*JOURNAL, "-t", "shop-web-a", "--output=export"]),
    "a number that is none": shlex.join([*JOURNAL, "-n", "+1", "-t", "shop-web-a"]),
    "a time of another form": shlex.join([*JOURNAL, "--since=yesterday", "-t", "shop-web-a"]),
    "two lines in a time": shlex.join([*JOURNAL, "--since=@1.000000\n", "-t", "shop-web-a"]),
    "a pattern that does not begin with ours": shlex.join([*JOURNAL, "--grep=x", "-t", "shop-web-a"]),
    "a long pattern": shlex.join([*JOURNAL, "--grep=(?s)^" + "x" * 5001, "-t", "shop-web-a"]),
    "a prefix of the deployer's prefix": shlex.join([*PREFIX[:2], *START]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_all_else_is_refused_in_one_line(gate, what):
    done = ask(gate, OTHERS[what])
    refusal = "this key may deploy shop, and nothing else: use an administrator's key\n"
    older = "this server's agent is of another version: run slipway provision\n"
    assert (done.returncode, done.stdout) == (77, "") and done.stderr in (refusal, older), done
    assert not os.path.exists("/tmp/canary")
    if what == "another mode":
        assert done.stderr == refusal


def test_another_version_is_told_what_to_do(gate):
    done = ask(gate, by_deployer([*START[:-1], "/run/shop/agent.0123456789abcdef"]))
    assert done.returncode == 77 and done.stderr == "this server's agent is of another version: run slipway provision\n"
    assert ask(gate, by_deployer(["id"]), "watch").stderr.startswith("this key may watch shop, and nothing else")


@pytest.mark.parametrize(
    ("words", "may"),
    [((), "deploy"), (("watch",), "watch"), (("deploy", DEPLOY), "deploy"), (("watch", LOOK), "watch")],
)
def test_the_gate_starts_its_own_agent(gate, words, may):
    """With the kind of the key, and in the slice: it answers what a deploy asks, and no more."""
    asked = '{"id": 1, "do": "certificates", "args": {}}\n{"id": 2, "do": "command", "args": {"script": "id"}}\n'
    done = ask(gate, by_deployer(START), *words, input=asked)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "--8<-- slipway" and '"id": 1' in lines[1], done
    assert f"this key may {may} shop, not command: use an administrator's key" in lines[2]
    ran = (gate.parent / "ran").read_text().splitlines()[-1]
    inside = f"{sys.executable} -IS {gate} {may} {''.join(words[1:])} inside"
    assert ran == f"--scope --quiet --collect --slice=shop_deploy.slice {inside}"


class Execed(Exception):
    pass


@pytest.fixture
def execed(monkeypatch, tmp_path):
    """Return what the gate, called with a command and words, becomes: (program, words, environment)."""

    def become(*what):
        raise Execed(what)

    def call(line, *words, app="shop"):
        monkeypatch.setattr(sys, "argv", ["/usr/local/sbin/shop-gate", *words])
        monkeypatch.setenv("SSH_ORIGINAL_COMMAND", line)
        with pytest.raises(Execed) as end:
            gate_module.main(app, PREFIX, START, ["shop-web-a"], b"")
        return end.value.args[0]

    monkeypatch.setattr(gate_module.os, "execve", become)
    monkeypatch.setattr(gate_module, "PLACES", str(tmp_path))
    yield call
    for place in open_files(tmp_path):
        os.close(place)


def test_nothing_of_the_client_s_environment_goes_on(execed, monkeypatch):
    """Neither to systemd-run nor to journalctl: sshd's AcceptEnv and sudo's env_keep are the host's."""
    monkeypatch.setenv("LC_ALL", "x")
    monkeypatch.setenv("SYSTEMD_PAGER", "sh")
    line = shlex.join([*JOURNAL, "-t", "shop-web-a"])
    path, words, env = execed(line, "deploy", DEPLOY)
    assert path == words[0] == "/usr/bin/systemd-run" and words[-3:] == ["deploy", DEPLOY, "inside"]
    assert env == {**gate_module.ENVIRONMENT, "SSH_ORIGINAL_COMMAND": line}
    assert execed(line, "deploy", DEPLOY, "inside") == (
        "/usr/bin/journalctl",
        shlex.split(line),
        gate_module.ENVIRONMENT,
    )
    assert {*gate_module.ENVIRONMENT} == {"PATH", "LC_ALL", "HOME"}


def test_a_slice_is_no_other_app_s(execed):
    """A dash in its name would make it a part of another one."""
    words = execed(by_deployer(START), app="my-shop")[1]
    assert "--slice=my_shop_deploy.slice" in words
    assert keys.slice_path("my-shop") == "/etc/systemd/system/my_shop_deploy.slice"


def test_sessions_have_a_limit(execed, monkeypatch, capsys, tmp_path):
    """Of all keys together; the place of one that has ended is free."""
    line = shlex.join([*JOURNAL, "-t", "shop-web-a"])
    held = [os.open(tmp_path / f"shop-gate.{number}", os.O_CREAT | os.O_RDWR) for number in range(20)]
    for place in held:
        fcntl.flock(place, fcntl.LOCK_EX)
    logged = []
    monkeypatch.setattr(gate_module.syslog, "syslog", lambda level, text: logged.append(text))
    with pytest.raises(SystemExit) as end:
        gate_module.take_place("shop", DEPLOY)
    assert end.value.code == 77
    assert capsys.readouterr().err == "20 sessions of shop's deploy keys are open: close one, or try again\n"
    os.close(held.pop(7))
    assert execed(line, "deploy", DEPLOY)[0] == "/usr/bin/systemd-run"
    with open(tmp_path / "shop-gate.7") as place, pytest.raises(BlockingIOError):
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (place,) = open_files(tmp_path / "shop-gate.7")
    assert os.get_inheritable(place), "what the gate becomes keeps it"


def open_files(path):
    """Return the numbers of this process's open files that have this path, or are below it."""
    paths = {int(number): os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    return [number for number, opened in paths.items() if f"{opened}/".startswith(f"{path}/")]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o755])
def test_the_gate_runs_nothing_from_a_folder_that_others_can_write_to(monkeypatch, tmp_path, mode):
    ran, folder = [], tmp_path / "run"
    (folder / "agent").mkdir(parents=True)
    (folder / "agent" / "__main__.py").write_text("raise Exception('planted')")
    folder.chmod(mode)
    monkeypatch.setattr(gate_module, "exec", lambda *words: ran.append(words), raising=False)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [])
    packed = gate_module.binascii.b2a_base64(gate_module.zlib.compress(b"unpack"))
    gate_module.run_agent("shop", "deploy", DEPLOY, str(folder / "agent"), packed)
    assert sys.argv == ["agent", "read", "shop", "deploy", DEPLOY] and sys.path == [str(folder / "agent")]
    if mode == 0o755:
        assert [text for text, _ in ran] == ["raise Exception('planted')"], "root's own folder has the agent"
    else:
        assert ran[0][0] == b"unpack" and ran[0][1]["safe"] is False


def test_a_folder_of_another_user_s_is_not_safe(monkeypatch, tmp_path):
    ran = []
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__main__.py").touch()
    monkeypatch.setattr(gate_module, "exec", lambda *words: ran.append(words), raising=False)
    monkeypatch.setattr(gate_module.os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", [])
    packed = gate_module.binascii.b2a_base64(gate_module.zlib.compress(b"unpack"))
    gate_module.run_agent("shop", "deploy", "", str(tmp_path / "agent"), packed)
    assert ran[0][1]["safe"] is False


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "cat /etc/shadow\nOct 1 sshd: all is well \x1b[2J\u2028",
            r"'cat /etc/shadow\nOct 1 sshd: all is well \x1b[2J\u2028'",
        ),
        ("x" * 9000 + " the end", "'" + "x" * 199 + "..." + "x" * 91 + " the end'"),
    ],
)
def test_the_journal_tells_whose_key_was_refused_what(monkeypatch, line, shown):
    """In one line that no client makes longer."""
    logged = []
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", line)
    monkeypatch.setattr(gate_module.syslog, "openlog", lambda *words: logged.append(words))
    monkeypatch.setattr(gate_module.syslog, "syslog", lambda *words: logged.append(words))
    with pytest.raises(SystemExit):
        gate_module.refuse("shop", "no", DEPLOY)
    assert logged == [
        ("shop-gate", 0, gate_module.syslog.LOG_AUTHPRIV),
        (gate_module.syslog.LOG_WARNING, f"key {DEPLOY}: no; it asked: {shown}"),
    ]


def lines_of(*words):
    parser = argparse.ArgumentParser()
    logs.add_arguments(parser)
    return parser.parse_args(search.join_values(words))


@pytest.mark.parametrize(
    "words",
    [
        ("-n", "100"),
        ("-f", "-n", "5"),
        ("--since", "-1h", "--until", "-1m", "--grep", "it's (a|b) [é]"),
        ("--role", "nginx", "--level", "error", "-n", "9"),
        ("--request", "-3f2a3f2a", "--release", "v1.2", "-n", "9"),
        ("--role", "backup", "-n", "9"),
        ("--role", "postgres", "-n", "9"),
    ],
)
def test_what_slipway_logs_asks_is_let_in(data, words):
    fleet, args = fleet_of({**TOML, **data}, WITH_KEYS), lines_of(*words)
    command = search.journalctl(logs.names_in_journal(fleet, args.role), args)
    line = Ssh().command("web1", command)[-1]
    assert gate_module.asked(line, PREFIX) == command
    assert gate_module.reads_log(command, keys.names_in_journal(fleet))
