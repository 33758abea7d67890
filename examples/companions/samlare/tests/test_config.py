"""samlare reports all faults of its file at once, by the file's own keys."""

import re

import pytest

from conftest import FOLDER
from proc import run


def faults(samlare):
    """Return the lines that samlare prints if it cannot start."""
    done = run(samlare.command, cwd=FOLDER)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_all_faults(samlare):
    samlare.path.write_text("""CarbonPrt = 3
CheckInterval = 0
Listen = "here"
[[Endpoint]]
URL = "ftp://x"
Prefix = 7
CA = "/nosuch"
""")
    assert [line.split(": ")[2] for line in faults(samlare)] == [
        "CheckInterval",
        "Listen",
        "Endpoint 1 URL",
        "Endpoint 1 Prefix",
        "Endpoint 1 CA",
        "CarbonPrt",
    ]


@pytest.mark.parametrize(
    "text, reported",
    [
        ("", "Endpoint: Field required"),
        ("a b", "Expected '=' after a key"),
        ('Listen = "192.0.2.1:1"\n[[Endpoint]]\nURL = "http://x"\nPrefix = "a"\n', "Listen: .*cannot assign"),
    ],
)
def test_fault(samlare, text, reported):
    samlare.path.write_text(text)
    (line,) = faults(samlare)
    assert re.search(reported, line)
