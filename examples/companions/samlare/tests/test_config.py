"""samlare reports all faults of its file at once, by the file's own keys."""

import re

import pytest
from samlare.config import Faults, load

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


SITE = '[[Endpoint]]\nURL = "http://x"\nPrefix = "a"\n'
ODD = ["", " ", "0", "0.0.0.0", "::", "a b", "a..b", ".a", "a:2003", "tcp://a", "[::1]", "1.2.3", "a\\n", "a\\u0000"]


@pytest.mark.parametrize(
    "text, key",
    [
        *((f'CarbonHost = "{host}"\n{SITE}', "CarbonHost") for host in [*ODD, f"{'a' * 64}.example", "a." * 127]),
        *((f'{SITE}Token = "{token}"\n', "Endpoint 1 Token") for token in ["", " ", "a\\nb", "ü", "a "]),
        (SITE.replace('"a"', '""'), "Endpoint 1 Prefix"),
        (f'{SITE}FailureMetric = ""\n', "Endpoint 1 FailureMetric"),
        (f'{SITE}Rename = {{a = ""}}\n', "Endpoint 1 Rename a"),
        (f'{SITE}Ignore = [""]\n', "Endpoint 1 Ignore 1"),
        ("Endpoint = []\n", "Endpoint"),
        (f'Listen = ""\n{SITE}', "Listen"),
    ],
)
def test_an_empty_or_odd_value(samlare, text, key):
    """It is refused, as it would mean this machine, no token, or nothing."""
    samlare.path.write_text(text)
    with pytest.raises(Faults) as raised:
        load(samlare.path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{samlare.path}: {key}: ") and "regex" not in line


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "graphite.example.",
        "a_b",
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "bücher.example",
        "3com.example",
        "a1",
    ],
)
def test_a_host(samlare, host):
    samlare.path.write_text(f'CarbonHost = "{host}"\n{SITE}')
    assert load(samlare.path).carbon_host == host


@pytest.mark.parametrize(
    "text, reported",
    [
        ("", "Endpoint: Field required"),
        ("a b", "Expected '=' after a key"),
        (f'Listen = "192.0.2.1:1"\n{SITE}', "Listen: .*cannot assign"),
        (f'Listen = "a..b:1"\n{SITE}', "Listen: "),
        (f'Listen = "a\\u0000:1"\n{SITE}', "Listen: "),
    ],
)
def test_fault(samlare, text, reported):
    samlare.path.write_text(text)
    (line,) = faults(samlare)
    assert re.search(reported, line)
