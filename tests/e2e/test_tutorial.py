"""Test of the tutorial: each command in order and each quoted output, in a project made from a fresh clone."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from checkout import WHO, Checkout
from proc import ROOT, answers, append, edit, free_port, running, signal_group, wait_until

TEXT = (ROOT / "docs/tutorial.md").read_text()
END = "--end of the command--"
# The parts: a command with its output; lines added to a file; a line that replaces another.
PARTS = re.compile(
    "|".join(
        [
            r"^    (?P<shell>2?)\$ (?P<command>.*)\n(?P<output>(?:    (?!2?\$ ).*\n)*)",
            r"at the end\s+of\s+`(?P<added>[^`]+)`:\n\n(?P<lines>(?:    .*\n|\n(?=    ))+)",
            r"In `(?P<changed>[^`]+)`,\s+replace\s+the\s+line\n\n    (?P<old>.*)\n\nby\n\n    (?P<new>.*)\n",
            r"(?P<ctrl_c>with\s+Ctrl-C)",
        ]
    ),
    re.MULTILINE,
)


class Terminal:
    """A shell in the reader's folder."""

    def __init__(self, folder, env):
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command):
        """Run a command to its end. Return (output, exit code, current folder)."""
        given = "" if "<" in command else "</dev/null"
        self.shell.stdin.write(f"{{ {command}\n}} {given}\ncode=$?; echo; echo '{END}' $code $PWD\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith(END):
                _, code, folder = line[len(END) - 1 :].split(" ", 2)
                return "".join(lines), int(code), folder.strip()
            lines.append(line)
        raise AssertionError("the shell has ended")

    def end(self):
        """Kill the shell and its processes."""
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.communicate()


def pattern(quoted):
    """Return a pattern for a line of quoted output: … matches anything, and numbers of seconds match any number."""
    text = re.escape(quoted.strip()).replace("…", ".*")
    return re.sub(r"[0-9.\\]+\\ s\b", r"[0-9.]+\\ s", text)


def check(command, quoted, output, code):
    """Assert that the quoted lines appear in order. The command must fail only if a line that says so is
    quoted."""
    rest = output
    for line in filter(None, (line.strip() for line in quoted.splitlines())):
        found = re.search(pattern(line), rest)
        assert found, f"{command}: no line {line!r} in {rest[-3000:]}"
        rest = rest[found.end() :]
    failed = re.search("make: failed|slipway: taken back", quoted) is not None
    assert bool(code) == failed, f"{command}: exit {code}: {output[-3000:]}"


def change(folder, part):
    """Make the change that the tutorial asks for."""
    path = Path(folder, part["added"] or part["changed"])
    if part["added"]:
        append(path, "\n" + re.sub("^    ", "", part["lines"], flags=re.MULTILINE))
        return
    old, new = (f"\n{part[key]}\n" for key in ("old", "new"))
    assert path.read_text().count(old) == 1, f"{path} must have the line {part['old']!r} once"
    edit(path, old, new)


@pytest.fixture
def reader(tmp_path):
    """Yield (the folder of a new reader, the environment). At the end, remove the reader's servers."""
    template = Checkout(tmp_path / "template").folder
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "DOCKER_HOST",
        "UV_CACHE_DIR",
        "PIP_CACHE_DIR",
        "UV_INDEX_STRATEGY",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "http_proxy",
        "https_proxy",
        "SSL_CERT_FILE",
    )
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {**WHO, "PORT": str(free_port())}
    env |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{template}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://example.com/you/slipway.git",
    }
    (tmp_path / "reader").mkdir()
    yield tmp_path / "reader", env
    if (tmp_path / "reader/shop").exists():
        subprocess.run(["make", "fleet-down"], cwd=tmp_path / "reader/shop", env=env, timeout=120, check=True)
    shutil.rmtree(tmp_path / "reader")


@pytest.mark.extra
def test_the_tutorial(reader):
    """The tutorial works from a fresh clone to a rollback, and its second terminal shows only 200."""
    folder, env = reader
    first, where = Terminal(folder, env), str(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(first.end)
        for part in PARTS.finditer(TEXT):
            if part["command"] and part["shell"]:
                second = stack.enter_context(running(["bash", "-c", part["command"]], cwd=where, env=env))
                wait_until(lambda: "200 200" in second.output() or answers(env["PORT"]), 60, part["command"])
            elif part["command"]:
                output, code, where = first.run(part["command"])
                check(part["command"], part["output"], output, code)
            elif part["added"] or part["changed"]:
                change(where, part)
            elif part["ctrl_c"]:
                # bash ignores a Ctrl-C that comes while its curl ends by itself: then press it again
                again = 30 if "runserver" in second.args[-1] else 5
                wait_until(
                    lambda: signal_group(second, signal.SIGINT) or wait_until(lambda: second.poll() is not None, again),
                    29,
                    "the end",
                )
                said = second.output()
                assert "runserver" in second.args[-1] or not re.sub("200 ", "", said), said[-2000:]
