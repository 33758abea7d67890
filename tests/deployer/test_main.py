"""The command line: what it prints, its exit codes, and what a deploy shows on a terminal."""

import io
import os
import re
import shutil
import subprocess
import sys

import pytest

from slipway.deploy import __main__
from slipway.deploy.commands import status
from slipway.deploy.errors import DeployError, Locked
from slipway.deploy.screen.display import SHOWN, Table, choose
from proc import ROOT, run

WRONG = 'app = "Shop"\nimage = "x"\n[hosts.a]\nroles = ["wroker"]\n'

COMMAND = [sys.executable, "-m", "slipway.deploy"]


def deploy(*words):
    return run([*COMMAND, *words], cwd=ROOT, env={**os.environ, "APP": "shop", "IMAGE": "shop"})


def test_a_configuration_is_told_whole(tmp_path):
    done = deploy("config", "check")
    assert done.returncode == 0 and done.stdout.startswith("slipway, image shop\n  web1 "), done.stderr
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
    for words, said in ((["provision", "--nothing"], "unrecognized arguments: --nothing"),
                        (["env", "--hosts", "web9", "list"], "there is no 'web9'; there are: web1, web2, work1"),
                        (["plan", "build-1"], "the image shop names no registry, so hosts would pull a stranger's: ")):
        done = deploy(*words)
        assert done.returncode == 2 and said in done.stderr


def test_a_file_that_is_no_toml_is_told_before_anything_is_installed(tmp_path):
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
    def fail(fleet, args):
        raise error
    monkeypatch.setattr(status, "handle", fail)
    monkeypatch.setenv("IMAGE", "shop")
    assert __main__.main(["status"]) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_is_drawn_over_itself(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table(io.StringIO())
    for step in SHOWN:
        for host in ("web1", "web2"):
            table.tell({"event": "step", "step": step, "host": host, "state": "done", "seconds": 1})
    first, *drawings = re.split("\033\\[(?=[0-9])", table.out.getvalue())
    assert first == "web1            1.0 s lock ✓\n" and drawings.pop(0).startswith("1F")
    for drawing in drawings:
        up, _, text = drawing.partition("\033[J")
        assert up == "2F" and len(text.splitlines()) == 2
        assert all(len(line) < columns for line in text.splitlines())
    assert all(line.endswith(" commit ✓") and f"{len(SHOWN)}.0 s" in line for line in text.splitlines())
    assert ("lock ✓" in text) == (columns == 200)


def test_more_hosts_than_lines(monkeypatch):
    monkeypatch.setenv("LINES", "3")
    table = Table(io.StringIO())
    for number in range(1000):
        table.tell({"event": "step", "step": "lock", "host": f"web{number}", "state": "done", "seconds": 1}, True)
    assert table.out.getvalue() == "", "drawn once for many events"
    for state in ("start", "done"):
        table.tell({"event": "step", "step": "flip", "host": "web0", "state": state})
    assert [text.count("\n") for text in table.out.getvalue().split("\033[2F\033[J")] == [2, 2]


@pytest.mark.parametrize("show, full", [
    ("Lines(sys.stdout, json.dumps)", False), ("Lines(sys.stdout)", True), ("Table(sys.stdout)", True)])
def test_that_nobody_reads_ends_no_deploy(show, full):
    read, write = os.pipe()
    os.close(read)
    script = f"from slipway.deploy.screen.display import *\nshow = {show}\n" + 3 * (
        "show.tell({'event': 'step', 'step': 'flip', 'host': 'web1', 'state': 'done', 'seconds': 1})\n") + "sys.exit(3)"
    with open("/dev/full" if full else write, "wb") as out:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=out, stderr=subprocess.PIPE, timeout=30)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_terminal_that_nobody_reads_holds_nothing_up():
    read, write = os.pipe()
    script = ("import sys, time\nfrom slipway.deploy.screen.display import choose\n"
              "show, began = choose(True), time.monotonic()\n"
              "for _ in range(5000):\n    show.tell({'event': 'progress', 'text': 'x' * 100})\n"
              "told = time.monotonic() - began\nshow.close(0.5)\nsys.exit(3 if told < 2 else 4)")
    try:
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
                              timeout=30)
    finally:
        os.close(read), os.close(write)
    assert (done.returncode, done.stderr) == (3, b"")


def test_all_is_drawn_at_the_end(monkeypatch):
    monkeypatch.setenv("LINES", "200")
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    show = choose(False, out)
    for number in range(100):
        show.tell({"event": "step", "step": "flip", "host": f"web{number}", "state": "done", "seconds": 1})
    show.close()
    assert out.getvalue().endswith("\nweb99           1.0 s flip ✓\n")
