"""Tests of examples/monitoring with the tools for its files."""

import re
import shutil

import pytest

from ops.served import serve
from proc import ROOT, output
from services import missing

EXAMPLE = ROOT / "examples/monitoring"
OTHERS = {
    "up",
    "probe_success",
    "probe_duration_seconds",
    "probe_ssl_earliest_cert_expiry",
    "node_filesystem_avail_bytes",
}  # Prometheus' own, and exporters'
RULES = (EXAMPLE / "rules.yml").read_text()


@pytest.mark.parametrize("command", re.findall("(?:promtool|amtool) .*", (EXAMPLE / "README.md").read_text()))
def test_the_files_are_taken(command):
    """The commands of its README accept the files; one of them runs the rules' tests."""
    name, *words = command.split()
    output([shutil.which(name) or missing(name), *words], cwd=EXAMPLE)


def test_metrics_that_are_asked_for_exist(sqlite_url, site_folder):
    """Each metric in a rule or panel is in a real site's /metrics, or is an exporter's."""
    asked = set(re.findall(r"\b([a-z_]+)\{", RULES + (EXAMPLE / "dashboard.json").read_text()))
    with serve(site_folder, "", DATABASE_URL=sqlite_url) as site:
        site.get("/nowhere")
        shown = set(re.findall(r"^# TYPE (\w+)", site.get("/metrics", unix=True).body.decode(), re.MULTILINE))
    shown |= {f"{name}_bucket" for name in shown}
    assert {"http_requests_total", "up"} <= asked <= shown | OTHERS, asked - shown - OTHERS
