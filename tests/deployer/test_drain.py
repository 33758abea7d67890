"""The script of `slipway drain` that waits for a host's connections."""

import os
import subprocess

import pytest

from slipway.deploy.commands.drain import LEFT

SS = """#!/bin/sh
[ "$1" != --version ] || exit 0
echo "$@" >>"$0.calls"
sed -n "$(wc -l <"$0.calls")p" "$0.counts" | tr ' ' '\\n' | sed '/^$/d'
"""


@pytest.mark.parametrize(
    ("seen", "seconds", "count", "calls"),
    [
        (["one", "", "", "check"], 9, "0", 3),  # a balancer's own check comes each second
        (["", "one", "", ""], 9, "0", 4),  # an old worker of nginx still opens a connection
        (["one two", "one two"], 1, "2", 1),  # the clock's second may end just after the first count
    ],
)
def test_a_host_is_drained_once_two_counts_are_zero(seen, seconds, count, calls, tmp_path):
    path = tmp_path / "ss"
    path.write_text(SS)
    path.chmod(0o755)
    (tmp_path / "ss.counts").write_text("".join(f"{line}\n" for line in seen))
    words = ["sh", "-c", LEFT, "sh", str(seconds), "dst 10.0.0.1"]
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, check=True, env=environ, capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == (count, "")
    asked = (tmp_path / "ss.calls").read_text().splitlines()
    assert asked[:calls] == ["--no-header --numeric state established sport = :80 and ( dst 10.0.0.1 )"] * calls
    assert len(asked) >= calls
