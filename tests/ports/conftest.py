"""Ports share the fleet of the tests on servers; each shows in the end what it took."""

from e2e.conftest import fleet

__all__ = ["fleet"]


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports(""):
        for name, text in getattr(report, "user_properties", []):
            if name == "took" and report.when == "teardown":
                terminalreporter.write_line(f"{report.nodeid}\n{text}")
