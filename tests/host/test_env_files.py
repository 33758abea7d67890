"""The grammar of env files, in examples. The project's .env, the deployer's `env`, the agent before a deploy and the
image's SETTINGS_FILE are all read by slipway.envfile."""

import re

from proc import ROOT, VE_PYTHON, put, run
from slipway import envfile
from slipway.deploy.agent import facts
from slipway.deploy.agent.host import Host

LONG = 65535
# Contents of a file, and the numbers of its wrong lines; None if the file is not UTF-8.
RIGHT = [
    b"",
    b"\n\n",
    b"A=1",
    b"A=1\n",
    b"A=\n",
    b"_a9=x\n",
    b"A=1\r\nB=2\r\n",
    b"\xef\xbb\xbfA=1\n",
    b" \t\nA=1\n \n",
    b"# A='x'\n#\n#\ttab\nA=1\n",
    b"#A=1\nA=1\n",
    b"A=a=b $HOME #x `id` \\\n",
    b"A={\"a\": '1'}\n",
    b"A='x' and 'y\n",
    b"A=it's\n",
    b"A=''x\n",
    "A=é€😀\n".encode(),
    "A=\u00a0x\n".encode(),
    b"A=" + b"x" * (LONG - 2) + b"\n",
    b"A=1\na=2\n",
]
WRONG = {
    b"A='1'\n": [1],
    b'A="1"\n': [1],
    b"A='\n": [1],
    b'A="\n': [1],
    b"A=''\n": [1],
    b'B=1\nA="a"b"\n': [2],
    b"A= v\n": [1],
    b"A=v \n": [1],
    b"A= \n": [1],
    b"A=a\tb\n": [1],
    b"A=\tb\n": [1],
    b"A=b\t\r\n": [1],
    b"A=1\nA=2\n": [2],
    b"A=1\nB=2\nA=1\nA=\n": [3, 4],
    b"A='1'\nA=2\n": [1],
    b"A=a\x00b\n": [1],
    b"A=a\x01\n": [1],
    b"A=\x1b[1m\n": [1],
    b"A=a\x7f\n": [1],
    "A=a\u0085b\n".encode(): [1],
    b"A=a\rb\n": [1],
    b"A=1\r\r\n": [1],
    b"#\x0b\n": [1],
    b"#\x00\n": [1],
    b"\x0b\n": [1],
    b"\x00\n": [1],
    b"\x0c\n": [1],
    "#\u009b\n".encode(): [1],
    "\u00a0\n".encode(): [1],
    "\u0085\n".encode(): [1],
    "\u2028A=1\n".encode(): [1],
    b"export A=1\n": [1],
    b" A=1\n": [1],
    b"A =1\n": [1],
    b"A\n": [1],
    b"=1\n": [1],
    b"1A=1\n": [1],
    b"A-B=1\n": [1],
    b" # x\n": [1],
    b"A: 1\n": [1],
    "Ä=1\n".encode(): [1],
    b"\n\nA\n": [3],
    b"A=1\n\xef\xbb\xbfB=1\n": [2],
    b"\xef\xbb\xbf\xef\xbb\xbfA=1\n": [1],
    b"A=" + b"x" * (LONG - 1) + b"\nB\n": [1, 2],
    b"#" + b"x" * LONG: [1],
    b"A=" + b"x" * (LONG - 2) + b"\r\n": [1],
}
NO_TEXT = [b"A=\xff\n", b"A=1\n#\xe9\n", b"A=\xed\xa0\x80\n", b"A=\xc0\xaf\n", b"A=\xf4\x90\x80\x80\n", b"A=\xc3"]
CASES = [*((case, []) for case in RIGHT), *WRONG.items(), *((case, None) for case in NO_TEXT)]


def numbers(problems):
    """Return the line numbers in the problems, or None if the file is not UTF-8."""
    said = " ".join(problems)
    return None if "not UTF-8" in said else [int(number) for number in re.findall(r"\bline (\d+)", said)]


def test_wrong_lines_are_named():
    assert [(case, numbers(envfile.read(case, "x")[1])) for case, _ in CASES] == CASES


def test_a_change_keeps_all_other_bytes():
    for case in RIGHT:
        kept = case.removeprefix(b"\xef\xbb\xbf")
        added = b"NEW=1\n" if kept[-1:] in (b"", b"\n") else b"\nNEW=1\n"
        assert envfile.changed(case.decode(), {"NEW": "1"}, ()).encode() == kept + added


def test_the_agent_looks_at_live_and_staged_settings(tmp_path):
    host = Host("shop", str(tmp_path))
    put(host.env, "A\n"), put(host.env + ".next", "A=1\nB='x'\n")
    assert numbers(facts.settings_problems(host)) == [1, 2]


def test_a_program_of_an_image_gets_every_byte(tmp_path):
    lines = ["A=a=b $HOME #x `id` \\", "B={\"a\": '1'}", "C=\u00a0é€😀"]
    path = put(tmp_path / "settings", "\n".join(lines))
    done = run([VE_PYTHON, "-m", "slipway.envfile", "/usr/bin/env"], cwd=ROOT, env={"SETTINGS_FILE": str(path)})
    assert {*lines} <= {*done.stdout.splitlines()}, done.stderr


def test_no_value_is_told():
    for case in (*WRONG, *NO_TEXT):
        planted = re.sub(rb"(?m)(?<==)['\" ]?\w?", rb"\g<0>planted", case)
        assert not any("planted" in problem for problem in envfile.read(planted, "x")[1])
