"""What `monitoring` writes: the same bytes of the same file, held to by Prometheus' own tool."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from slipway.deploy import __main__, config
from slipway.deploy.monitor import prometheus
from slipway.deploy.monitor.promtest import encoded
from slipway.deploy.screen import yaml
from ops.served import serve
from proc import ROOT
from services import missing

GOLDEN = Path(__file__).parent / "golden"
FULL = """app = "shop"
image = "registry.example/shop"
media = "bucket"
[watch]
node = 9100
front = "https://shop.example/"
probes = ["http://probe1.example:9115", "https://probe2.example"]
alertmanager = ["127.0.0.1:9093"]
[site]
names = ["shop.example"]
metrics_from = ["10.0.0.9"]
[hosts.web1]
internal = "10.0.0.11:8080"
roles = ["web"]
[hosts.web2]
internal = "2001:db8::3"
roles = ["web"]
[hosts.web3]
roles = ["web"]
[hosts.web4]
roles = ["web"]
[hosts.work1]
roles = ["worker", "beat"]
"""
TWO = """app = "two"
image = "two"
media = "bucket"
[hosts]
web1 = {roles = ["web"]}
web2 = {roles = ["web"]}
work = {roles = ["worker"]}
[watch]
over = 60
every = 5
ttl = 15
errors = 0.5
"""
ONE = """app = "one"
image = "one"
[hosts.web1]
roles = ["web", "worker", "beat"]
[site]
tls = "files"
certificate = "/c"
key = "/k"
names = ["one.example"]
"""


@pytest.fixture
def made(tmp_path):
    """made(toml): the folder that the command has filled."""
    def make(text):
        (tmp_path / "x.toml").write_text(text)
        assert __main__.main(["--config", str(tmp_path / "x.toml"), "monitoring", "--out", str(tmp_path / "o")]) == 0
        return tmp_path / "o"
    return make


def promtool(*words, cwd):
    """Debian's package prometheus has it; PROMTOOL names another one."""
    path = os.environ.get("PROMTOOL") or shutil.which("promtool") or missing("promtool")
    return subprocess.run([path, *words], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_the_files_are_as_they_were(made):
    """The same toml makes the same bytes. GOLDEN=1 writes them anew; then look at the difference."""
    folder = made(FULL)
    for name in ("prometheus.yml", "rules.yml", "blackbox.yml", "grafana.json"):
        if os.environ.get("GOLDEN"):
            shutil.copy(folder / name, GOLDEN / name)
        assert (folder / name).read_text() == (GOLDEN / name).read_text(), name


FEW = TWO.replace("[watch]", '[watch]\nwithout = ["hosts_up", "figures", "worker"]')


@pytest.mark.parametrize("toml", [FULL, TWO, ONE, FEW], ids=["full", "two", "one", "few"])
def test_prometheus_takes_them_and_its_rules_do_as_ours(made, toml):
    """It reads them, and what befalls a fleet brings the alerts at the times that the watcher has them: hosts killed,
    errors, one of five and of two gone dark, flapping."""
    folder = made(toml)
    typed = re.search("    cd var/monitoring && (.*)", (ROOT / "docs/monitoring.md").read_text())
    assert typed
    for command in [*typed[1].split(" && "), "promtool check rules rules.yml"]:
        done = promtool(*command.split()[1:], cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("right, wrong", [
    ("< 0.8\n", "< 0.6\n"), (">= 0.05", ">= 0.07"), ('for: "20s"', 'for: "2m"'), ("[20s]", "[1s]"),
    ('keep_firing_for: "60s"', 'keep_firing_for: "0s"'), ("sum_over_time(", "0 * sum_over_time("), ("(5 *", "(4 *"),
    ('counts=\\"host\\"', 'job=\\"shop\\"'), ("vector(Inf)", "vector(0)"), (" or vector(0)", ""),
    ("time()) / 86400", "time()) / 3600")], ids=str)
def test_a_rule_that_is_wrong_does_not_pass(made, right, wrong):
    """The tests that come with the rules notice what is changed in them."""
    folder = made(FULL.replace("[watch]", "[watch]\nover = 60\nttl = 20\nheartbeat = 60"))
    rules = (folder / "rules.yml").read_text()
    changed = rules.replace(right.replace("\n", '"\n'), wrong.replace("\n", '"\n'))
    assert changed != rules
    (folder / "rules.yml").write_text(changed)
    done = promtool("test", "rules", "rules.test.yml", cwd=folder)
    assert done.returncode == 1 and "FAILED" in done.stdout + done.stderr, done.stdout + done.stderr


def named(expressions):
    """The names of metrics in PromQL."""
    words = {word for text in expressions for word in re.findall(r"\b([a-z]\w*(?::\w+)*)(?=\{)", text)}
    return {word for word in words if "_" in word or word == "up"}


def test_metrics_that_are_asked_for_exist(made, tmp_path):
    """Each that the dashboard or a rule names is on a real site's /metrics, or an exporter's own."""
    folder = made(FULL)
    panels = json.loads((folder / "grafana.json").read_text())["panels"]
    asked = named(target["expr"] for panel in panels for target in panel["targets"])
    asked |= named(re.findall(r'expr: "(.*)"', (folder / "rules.yml").read_text()))
    (tmp_path / "site").mkdir()
    with serve(tmp_path / "site", "", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3") as site:
        site.get("/healthz"), site.get("/nowhere")
        shown = set(re.findall(r"^(\w+)[{ ]", site.get("/metrics", unix=True).body.decode(), re.MULTILINE))
    documented = set(re.findall(r"`([a-z_]+)(?:\{[\w,]*\})?`", (ROOT / "docs/operations.md").read_text()))
    others = {"up", "probe_success", "probe_ssl_earliest_cert_expiry", "node_filesystem_avail_bytes",
              "slipway:hosts_up:count"}
    celery = {name for name in documented if name.startswith("celery_")}  # only once there was a heartbeat
    assert {"http_requests_total", "release_info"} <= asked
    assert asked - others - celery <= shown, asked - others - shown


def test_who_is_asked_and_how():
    """https where a web host ends TLS; a token unless addresses are named; who has no web counts by its node exporter.
    """
    one = config.build(__import__("tomllib").loads(ONE), {}, "x")
    assert [rule.name for rule in prometheus.known(one)] == ["hosts_up", "errors", "figures", "worker", "beat"]
    assert prometheus.figures(one) == {
        "job_name": "one", "scheme": "https", "tls_config": {"server_name": "one.example"},
        "authorization": {"credentials_file": "/etc/prometheus/one.token"},
        "static_configs": [{"targets": ["web1"], "labels": {"app": "one", "host": "web1", "counts": "host"}}]}


@pytest.mark.parametrize("watch", ["", '[watch]\nfront = "https://shop.example/"\nplaces = 1\n'])
def test_nobody_to_ask(tmp_path, monkeypatch, capsys, watch):
    """Without web hosts and node exporters there is nothing for Prometheus; a folder that cannot be is told."""
    (tmp_path / "x.toml").write_text('app = "a"\nimage = "a"\n[hosts.a]\nroles = ["worker"]\n' + watch)
    assert __main__.main(["--config", str(tmp_path / "x.toml"), "monitoring", "--out", str(tmp_path)]) == 2
    assert "Prometheus could see no host" in capsys.readouterr().err
    monkeypatch.setenv("IMAGE", "registry.example/shop")  # as make does
    assert __main__.main(["monitoring", "--out", str(tmp_path / "x.toml")]) == 1
    assert "x.toml: File exists" in capsys.readouterr().err


@pytest.mark.parametrize("values, text", [
    ([1.0, 1.0, 1.0], "1+0x2"), ([0.0, 5.0, 10.0, 10.0], "0+5x2 10"), ([None, None, 3.0], "_x2 3"),
    ([3.0, None], "3 _x1"), ([], ""), ([9.0, 0.0], "9-9x1")])
def test_values_as_promtool_reads_them(values, text):
    """Runs are short."""
    assert encoded(values) == text


def test_yaml():
    """Whatever a text holds stays a text."""
    assert yaml.dump({"a": ["no", {"b": 'x: "y"', "c": []}], "d": {"e": 1.5}}, "head") == (
        '# head\na:\n  - "no"\n  - b: "x: \\"y\\""\n    c: []\nd:\n  e: 1.5\n')
