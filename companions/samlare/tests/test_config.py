"""What is wrong with the file is told at once, by what its reader sees."""

import pytest
from conftest import endpoint


def test_all_faults(samlare):
    samlare.path.write_text("""CarbonPrt = 3
CheckInterval = 0
Listen = "here"
[[Endpoint]]
URL = "ftp://x"
Prefix = "a b"
[[Endpoint]]
URL = "http://x"
Prefix = "a"
CA = "/nosuch"
""")
    code, said = samlare.check()
    assert code == 1 and "Traceback" not in said
    assert [line.split(": ")[2] for line in said.splitlines()] == [
        "CheckInterval", "Listen", "Endpoint 1 URL", "Endpoint 1 Prefix", "Endpoint 2 CA", "CarbonPrt"]


@pytest.mark.parametrize("text, told", [
    ("", "Endpoint: Field required"),
    ("CarbonPort = ", "Invalid value (at end of document)"),
    ("[[Endpoint]]\n" + endpoint("http://x", "a", FailureMetric='"b c"'), "'b c' is no name for Graphite"),
])
def test_fault(samlare, text, told):
    samlare.path.write_text(text)
    code, said = samlare.check()
    assert code == 1 and told in said and len(said.splitlines()) == 1, said


def test_address_is_taken(samlare, shown):
    samlare.port = shown.port
    samlare.write(2003, endpoint("http://x", "a"))
    assert samlare.check() == (1, f"samlare: Listen 127.0.0.1:{shown.port}: Address already in use\n")
