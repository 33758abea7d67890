"""What `monitoring` writes, in Debian's own Prometheus, Alertmanager and blackbox exporters, which really run.

A fleet of three: the site itself under gunicorn, a stand-in for a host whose answers fail, one that is killed.
"""

import contextlib
import json
import re
import shutil
import ssl
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slipway.deploy import __main__
from ops.served import serve
from proc import ROOT, free_port, run as run_program, running, wait_until
from services import missing

TOML = """app = "shop"
image = "shop"
media = "bucket"
[hosts]
web1 = {{roles = ["web", "worker", "beat"], internal = "127.0.0.1:{site}"}}
web2 = {{roles = ["web"], internal = "127.0.0.1:{failing}"}}
web3 = {{roles = ["web"], internal = "127.0.0.1:{killed}"}}
[watch]
every = 2
ttl = 10
over = 40
node = {node}
front = "https://127.0.0.1:{front}/"
probes = ["http://127.0.0.1:{place2}", "http://127.0.0.1:{place3}"]
alertmanager = ["127.0.0.1:{alertmanager}"]
"""
TOKEN = "a token that is long enough for anybody"
FIGURES = """celery_heartbeat_age_seconds{part="worker"} 5.0
celery_heartbeat_age_seconds{part="beat"} 5.0
celery_tasks_waiting{queue="celery"} 0.0
celery_tasks_dead 0.0
"""
NODE = 'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"} 9e9\n'


def program(name):
    """One of Debian's packages prometheus, prometheus-alertmanager, prometheus-blackbox-exporter."""
    return shutil.which(name) or missing(name)


def documented():
    """The alertmanager.yml of docs/monitoring.md."""
    found = re.search(r"^    route:\n(?:    .*\n)+", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE)[0]
    return re.sub("^    ", "", found, flags=re.MULTILINE)


class Answers:
    """What a host has counted: so many answers a second, and of them a share of errors."""

    def __init__(self, rate=10):
        self.rate, self.share, self.good, self.bad = rate, 0.0, 0.0, 0.0
        self.at, self.lock = time.monotonic(), threading.Lock()

    def fail(self, share):
        self.text()
        self.share = share

    def text(self):
        """Its /metrics."""
        with self.lock:
            now = time.monotonic()
            grown, self.at = (now - self.at) * self.rate, now
            self.good, self.bad = self.good + grown * (1 - self.share), self.bad + grown * self.share
            return (f'http_requests_total{{status="2xx"}} {self.good}\nhttp_requests_total{{status="5xx"}} {self.bad}\n'
                    + FIGURES)


@contextlib.contextmanager
def answering(port, text, context=None, heard=None):
    """While the block runs a server answers so at a port, and `heard` is given what it is sent."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            heard(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.do_GET()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield
        server.shutdown()


def get(port, path, **values):
    """What Prometheus or Alertmanager answers."""
    query = f"?{urllib.parse.urlencode(values)}" if values else ""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}{query}", timeout=10) as page:
        return json.load(page)["data"] if path.startswith("/api") else page.status


class Monitored:
    """What runs, and what was told of it."""

    def __init__(self, folder):
        names = ("failing", "killed", "node", "front", "place1", "place2", "place3", "alertmanager", "prometheus",
                 "hook")
        self.site, self.folder, self.ports = None, folder, {name: free_port() for name in names}
        self.told, self.answers = [], Answers(1000)

    def hear(self, said):
        """What Alertmanager tells the team."""
        self.told += [(alert["labels"]["alertname"], alert["status"], alert["annotations"]) for alert in said["alerts"]]

    def write(self):
        """All files: those that are made, with ports and a token of this test's own, and Alertmanager's of the docs."""
        (self.folder / "x.toml").write_text(TOML.format(site=self.site.port, **self.ports))
        words = ["--config", str(self.folder / "x.toml"), "monitoring", "--out", str(self.folder)]
        assert __main__.main(words) == 0
        (self.folder / "token").write_text(TOKEN)
        made = (self.folder / "prometheus.yml").read_text()
        changed = made.replace("/etc/prometheus/shop.token", str(self.folder / "token")).replace(
            '"127.0.0.1:9115"', f'"127.0.0.1:{self.ports["place1"]}"')
        (self.folder / "prometheus.yml").write_text(changed)
        shown = documented()
        for right, short in (("10s", "0s"), ("1m", "1s"),
                             ("https://chat.example", f"http://127.0.0.1:{self.ports['hook']}")):
            assert right in shown
            shown = shown.replace(right, short)
        (self.folder / "alertmanager.yml").write_text(shown)

    def certificate(self):
        """A TLS context for 127.0.0.1; who is told of the file c trusts it."""
        done = run_program(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=x",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.folder / "k", "-out",
                            self.folder / "c"])
        assert done.returncode == 0, done.stderr
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "c", self.folder / "k")
        return context

    def place(self, number):
        """A blackbox exporter, while the block runs."""
        return running([program("prometheus-blackbox-exporter"), f"--config.file={self.folder}/blackbox.yml",
                        f"--web.listen-address=127.0.0.1:{self.ports[f'place{number}']}"],
                       env={"SSL_CERT_FILE": str(self.folder / "c")})

    @contextlib.contextmanager
    def watching(self):
        """Prometheus and Alertmanager, while the block runs."""
        alertmanager = [program("prometheus-alertmanager"), f"--config.file={self.folder}/alertmanager.yml",
                        f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
                        f"--storage.path={self.folder}/alerts", "--cluster.listen-address="]
        prometheus = [program("prometheus"), f"--config.file={self.folder}/prometheus.yml",
                      f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}",
                      f"--storage.tsdb.path={self.folder}/series"]
        with running(alertmanager) as first, running(prometheus) as second:
            for process, name in ((first, "alertmanager"), (second, "prometheus")):
                wait_until(lambda: process.poll() is None and get(self.ports[name], "/-/ready"), 30, name)
            yield

    def ask(self, path, **values):
        return get(self.ports["prometheus"], path, **values)

    def ask_for(self, expression):
        """The values of an expression, now."""
        return [float(series["value"][1]) for series in self.ask("/api/v1/query", query=expression)["result"]]


@pytest.fixture
def monitored(tmp_path):
    """All that is monitored, but for the host that is killed and the third place."""
    all_ = Monitored(tmp_path)
    (tmp_path / "site").mkdir()
    with contextlib.ExitStack() as stack:
        all_.site = stack.enter_context(serve(
            tmp_path / "site", "", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3", METRICS_TOKEN=TOKEN))
        all_.write()
        for name, text, options in (("failing", all_.answers.text, {}), ("node", lambda: NODE, {}),
                                    ("front", str, {"context": all_.certificate()}),
                                    ("hook", str, {"heard": all_.hear})):
            stack.enter_context(answering(all_.ports[name], text, **options))
        for number in (1, 2):
            stack.enter_context(all_.place(number))
        yield all_


def test_prometheus_tells_once_and_once_when_it_is_over(monitored):
    """A host killed, errors at 4 and then 6 %, a place that no longer reaches the front page: all at once, so that it
    takes less time. While all was well, everything that was written had something to say."""
    rules = {"hosts_up": "web3", "errors": "", "front": f"http://127.0.0.1:{monitored.ports['place3']}"}
    monitored.answers.fail(0.04)
    with contextlib.ExitStack() as others:
        there(monitored, others)
        others.enter_context(monitored.watching())
        wait_until(lambda: is_well(monitored), 240, "all is well")
        assert monitored.told == []
        monitored.answers.fail(0.06)
        monitored.befallen.close()
        wait_until(lambda: states(monitored) == [(name, "firing") for name in sorted(rules)], 240, monitored.told)
        for name, _, annotations in monitored.told:
            assert annotations.get("places" if name == "front" else "hosts", "").strip() == rules[name], annotations
        monitored.answers.fail(0)
        there(monitored, others)
        wait_until(lambda: states(monitored) == [
            (name, state) for name in sorted(rules) for state in ("firing", "resolved")], 240, monitored.told)


def there(monitored, stack):
    """The host and the third place answer, until `monitored.befallen` is closed."""
    monitored.befallen = stack.enter_context(contextlib.ExitStack())
    monitored.befallen.enter_context(monitored.place(3))
    monitored.befallen.enter_context(answering(monitored.ports["killed"], Answers().text))


def states(monitored):
    """What was told, in the order of the alphabet."""
    return sorted((name, state) for name, state, _ in monitored.told)


def is_well(monitored):
    """Whether all targets answer, all rules and panels have a result, and four of a hundred answers are errors. The
    site itself has a visitor, too."""
    monitored.site.get("/nowhere")
    targets = monitored.ask("/api/v1/targets")["activeTargets"]
    assert len(targets) == 9 and {target["health"] for target in targets} == {"up"}, targets
    rules = [rule for group in monitored.ask("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert {(rule["health"], rule.get("state", "inactive")) for rule in rules} == {("ok", "inactive")}, rules
    panels = json.loads((monitored.folder / "grafana.json").read_text())["panels"]
    found = {panel["title"]: monitored.ask_for(panel["targets"][0]["expr"]) for panel in panels}
    assert all(found.values()), found
    assert [found["hosts_up"], found["front"], found["figures"]] == [[1], [3], [3]], found
    assert 88 < found["certificate"][0] < 91 and 0.035 < found["errors"][0] < 0.045, found
    return True


def test_alertmanager_takes_what_the_docs_show(tmp_path):
    """As its own tool says."""
    (tmp_path / "alertmanager.yml").write_text(documented())
    done = run_program([program("amtool"), "check-config", tmp_path / "alertmanager.yml"])
    assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr
