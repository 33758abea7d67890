"""The grammar of env files, in examples, and its readers: the project's .env, the deployer's `env`, the agent before a
deploy, and the image's SETTINGS_FILE."""

import ast
import base64
import os
import re

import pytest

from slipway.deploy.agent import facts
from slipway.deploy.agent.host import Host
from slipway.deploy.env.changes import staged
from slipway.deploy.env.staging import decoded
from slipway.deploy.errors import HostProblem
from proc import ROOT, VE_PYTHON, run
from slipway import envfile

LONG = 65535
# Contents of a file, and the numbers of its wrong lines; None if the file is not UTF-8.
RIGHT = [
    b"", b"\n\n", b"A=1", b"A=1\n", b"A=\n", b"_a9=x\n", b"A=1\r\nB=2\r\n", b"\xef\xbb\xbfA=1\n", b" \t\nA=1\n \n",
    b"# A='x'\n#\n#\ttab\nA=1\n", b"#A=1\nA=1\n", b"A=a=b $HOME #x `id` \\\n",
    b"A={\"a\": '1'}\n", b"A='x' and 'y\n", b"A=it's\n", b"A=''x\n", "A=é€😀\n".encode(), "A=\u00a0x\n".encode(),
    b"A=" + b"x" * (LONG - 2) + b"\n", b"A=1\na=2\n",
]
WRONG = {
    b"A='1'\n": [1], b'A="1"\n': [1], b"A='\n": [1], b'A="\n': [1], b"A=''\n": [1], b"B=1\nA=\"a\"b\"\n": [2],
    b"A= v\n": [1], b"A=v \n": [1], b"A= \n": [1], b"A=a\tb\n": [1], b"A=\tb\n": [1], b"A=b\t\r\n": [1],
    b"A=1\nA=2\n": [2], b"A=1\nB=2\nA=1\nA=\n": [3, 4], b"A='1'\nA=2\n": [1],
    b"A=a\x00b\n": [1], b"A=a\x01\n": [1], b"A=\x1b[1m\n": [1], b"A=a\x7f\n": [1], "A=a\u0085b\n".encode(): [1],
    b"A=a\rb\n": [1], b"A=1\r\r\n": [1], b"#\x0b\n": [1], b"#\x00\n": [1],
    b"\x0b\n": [1], b"\x00\n": [1], b"\x0c\n": [1],
    "#\u009b\n".encode(): [1], "\u00a0\n".encode(): [1], "\u0085\n".encode(): [1], "\u2028A=1\n".encode(): [1],
    b"export A=1\n": [1], b" A=1\n": [1], b"A =1\n": [1], b"A\n": [1], b"=1\n": [1], b"1A=1\n": [1], b"A-B=1\n": [1],
    b" # x\n": [1], b"A: 1\n": [1], "Ä=1\n".encode(): [1], b"\n\nA\n": [3], b"A=1\n\xef\xbb\xbfB=1\n": [2],
    b"\xef\xbb\xbf\xef\xbb\xbfA=1\n": [1],
    b"A=" + b"x" * (LONG - 1) + b"\nB\n": [1, 2], b"#" + b"x" * LONG: [1], b"A=" + b"x" * (LONG - 2) + b"\r\n": [1],
}
NO_TEXT = [b"A=\xff\n", b"A=1\n#\xe9\n", b"A=\xed\xa0\x80\n", b"A=\xc0\xaf\n", b"A=\xf4\x90\x80\x80\n", b"A=\xc3"]
CASES = [*((case, []) for case in RIGHT), *WRONG.items(), *((case, None) for case in NO_TEXT)]


def numbers(problems):
    """Return the line numbers in the problems, or None if the file is not UTF-8."""
    said = " ".join(problems)
    return None if "not UTF-8" in said else [int(number) for number in re.findall(r"\bline (\d+)", said)]


def by_image(content, root):
    path = root / ".env"
    path.write_bytes(content)
    return numbers(envfile.read_file(path)[1])


def by_agent(content, root):
    """Read the file as the agent does before a deploy, as live and as staged settings."""
    host = Host("shop", str(root))
    os.makedirs(os.path.dirname(host.env), exist_ok=True)
    for path in (host.env, host.env + ".next"):
        with open(path, "wb") as file:
            file.write(content)
    told = facts.settings_problems(host)
    staged = [problem for problem in told if problem.startswith(host.env + ".next ")]
    assert numbers(staged) == numbers([problem for problem in told if problem not in staged])
    return numbers(staged)


def by_env(content, root):
    """Read the file as `env set` does, which keeps all its bytes, or refuses it."""
    try:
        text = staged(decoded(base64.b64encode(content).decode(), "APP.env"), None, {"NEW": "1"}, ())
    except HostProblem as problem:
        return numbers(problem.args)
    kept = content.removeprefix(b"\xef\xbb\xbf")
    assert text.encode() == kept + b"\n" * (kept[-1:] not in (b"", b"\n")) + b"NEW=1\n"
    return []


def by_settings_file(content, root):
    """Read the file as an image does at its start: it sets the variables that other readers find, or runs nothing."""
    path = root / "settings"
    path.write_bytes(content)
    show = [VE_PYTHON, "-c", "import os; print({name.decode(): text.decode() for name, text in os.environb.items()})"]
    done = run([VE_PYTHON, "-S", "-m", "slipway.envfile", *show], cwd=ROOT, env={"SETTINGS_FILE": str(path)})
    assert done.returncode in (0, 64) and (done.returncode == 0) == (not done.stderr), done.stderr
    if not done.returncode:
        assert envfile.read(content, "x")[0].items() <= ast.literal_eval(done.stdout).items()
    return numbers([done.stderr])


@pytest.mark.parametrize("reader", [by_image, by_agent, by_env, by_settings_file])
def test_python_says_the_same_everywhere(reader, tmp_path):
    """Each reader accepts the right files, and names the wrong lines of the others."""
    assert [(case, reader(case, tmp_path)) for case, _ in CASES] == CASES


def test_no_value_is_told():
    """The problems of a wrong file name lines and settings, never values."""
    for case in (*WRONG, *NO_TEXT):
        planted = re.sub(rb"(?m)(?<==)['\" ]?\w?", rb"\g<0>planted", case)
        assert not any("planted" in problem for problem in envfile.read(planted, "x")[1])
