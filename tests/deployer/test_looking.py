"""`watch` itself: asks all hosts at once, again and again; one that is dark, slow or odd holds up no other."""

import argparse
import asyncio
import contextlib
import io
import json
import math
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest import mock

import pytest

from slipway.deploy.commands import watch
from slipway.deploy.config import Host
from slipway.deploy.monitor import hosts, looking, probes
from slipway.deploy.monitor.looking import Sender, Watcher
from slipway.deploy.monitor.rules import rules
from slipway.deploy.rollout import hooks
from slipway.deploy.screen import board
from slipway.deploy.ssh import connection
from deployer.agents import Agent, Pipe, fine, line
from deployer.clock import run
from proc import ROOT, run as run_program

LINES = ['http_requests_total{status="2xx"} 100.0', 'http_requests_total{status="5xx"} 1.0',
         'celery_heartbeat_age_seconds{part="worker"} 5.0', 'celery_heartbeat_age_seconds{part="beat"} 5.0']


def well(fleet):
    """do → the answer of a host with which all is well."""
    answers = fine(fleet)
    slot = answers["facts"]["slots"]["a"]
    slot["units"]["web"]["figures"] = LINES
    slot["units"]["worker"] = {**slot["units"]["web"], "health": "consuming"}
    return answers


@contextlib.contextmanager
def fleet_of_agents(fleet, odd):
    """While the block runs each host has an agent. `odd`: host's address → do → function of the message, or None where
    it cannot be reached; it may be changed meanwhile. Yields [(address, its end of the connection)] of all."""
    began = []

    async def start(words, *rest, **options):
        address = words[words.index("--") + 1]
        its = odd.get(address, {})
        began.append((address, Pipe(Agent(well(fleet), odd=its) if its is not None else None)))
        return began[-1][1]
    with mock.patch.object(connection, "start", start):
        yield began


def watched(fleet, odd, seconds, mended=math.inf):
    """(events, alerts sent, connections) of a watcher that runs so many seconds, by a clock that jumps;
    `mended`: when nothing is odd any more."""
    async def work():
        events, sent = [], []
        watcher = Watcher(fleet, fleet.app_hosts, events.append, send=sent.append)
        with fleet_of_agents(fleet, odd) as began, contextlib.suppress(TimeoutError):
            if mended < seconds:
                asyncio.get_running_loop().call_later(mended, odd.clear)
            async with asyncio.timeout(seconds):
                await watcher.watch()
        return events, sent, began
    return run(work())


def looks(events):
    return [event for event in events if event["event"] == "look"]


def test_all_is_well(fleet):
    """Over one connection a host, every ten seconds; nothing is told but that they are up."""
    events, sent, began = watched(fleet, {}, 600)
    assert sent == [] and len(began) == 3 and len(looks(events)) in (60, 61)
    assert [event["text"] for event in events if event["event"] == "host"] == ["up"] * 3
    assert looks(events)[-1]["rules"]["hosts_up"]["value"] == 1


@pytest.mark.parametrize("way, said", [
    ({"facts": lambda message: []}, "no answer within 15 s"), (None, "cannot be reached"),
    ({"facts": lambda message: [b"[]\n"]}, "makes no sense")], ids=["silent", "unreachable", "mad"])
def test_a_dark_host_holds_up_no_other(fleet, way, said):
    """However a host fails: the others are heard as often as ever, and one alert names it."""
    events, sent, began = watched(fleet, {"web2": way}, 900)
    seen = [look["hosts"] for look in looks(events)][1:]
    assert all(hosts[name]["seen"] <= 10.1 for hosts in seen for name in ("work", "web1"))
    assert [(alert["rule"], alert["state"], alert["hosts"]) for alert in sent] == [("hosts_up", "broken", ["web2"])]
    texts = [event["text"] for event in events if event["event"] == "host" and event["host"] == "web2"]
    assert len(texts) == 1 and said in texts[0]
    assert all(pipe.gone for _, pipe in began), "no connection is left behind"


def test_a_host_that_is_back(fleet):
    """It is reached again over a new connection: one alert, and one when it is over."""
    _, sent, began = watched(fleet, {"web2": None}, 1800, 600)
    assert [(alert["rule"], alert["state"]) for alert in sent] == [("hosts_up", "broken"), ("hosts_up", "over")]
    assert sent[0]["text"] == "shop: hosts_up: 66.7 % of 3 hosts up over 300 s, the limit is 80 %: web2"
    assert sent[1]["text"] == "shop: hosts_up is over: 100 % of 3 hosts up over 300 s, the limit is 80 %"
    addresses = [address for address, _ in began]
    assert addresses.count("web2") > 50 and addresses.count("work") == 1
    json.dumps(sent, allow_nan=False)


@pytest.mark.parametrize("odd, code", [({}, 0), ({"web2": None}, 1)])
def test_once(fleet, capsys, odd, code):
    """One look: 0 where all rules are kept, 1 where one is broken, which the table says. No hook runs."""
    fleet.hooks["alert"] = "touch /nowhere/at/all"
    with fleet_of_agents(fleet, odd), mock.patch.object(board, "choose", lambda *words: Direct(*words)):
        assert run(watch.handle(fleet, argparse.Namespace(once=True, json=False, hosts=""))) == code
    out = capsys.readouterr().out
    assert ("hosts_up  80 %   broken" in out) == bool(code) and "\033" not in out
    assert re.search(r"hosts_up +80 % +\w+ +(66.7|100) % of 3 hosts up", out)


def test_once_of_a_host_that_goes_meanwhile(fleet):
    """Its last word counts, though it was up a moment ago."""
    answers = iter([[], None])

    def facts(message):
        return [line({"id": message["id"], "ok": well(fleet)["facts"]})] if next(answers) is not None else []
    with fleet_of_agents(fleet, {"web2": {"facts": facts}}):
        assert run(watch.handle(fleet, argparse.Namespace(once=True, json=False, hosts=""))) == 1


class Direct:
    """A display that draws at once."""

    live = False

    def __init__(self, as_json, once):
        self.board = board.Board(sys.stdout, once)

    def tell(self, event):
        self.board.tell(event)

    def close(self):
        pass


def test_errors_take_two_looks(fleet):
    """What was answered since a start, long ago, tells nothing; what is answered between two looks does."""
    counts = iter(range(0, 10**6, 100))

    def facts(message):
        errors, said = next(counts), well(fleet)["facts"]
        said["slots"]["a"]["units"]["web"]["figures"] = [
            f'http_requests_total{{status="2xx"}} {10**6 + errors}', f'http_requests_total{{status="5xx"}} {errors}',
            *LINES[2:]]
        return [line({"id": message["id"], "ok": said})]
    events, sent, _ = watched(fleet, {"root@web1.example": {"facts": facts}}, 300)
    assert [(alert["rule"], alert["value"]) for alert in sent] == [("errors", 0.5)]


def test_a_flip_between_two_looks(fleet):
    """To a warm slot that once answered errors: no error of now."""
    looks, told = iter(range(10**6)), {"a": (10**6, 0), "b": (10**6 + 500, 400)}  # slot → its answers, of them errors

    def lines(slot, more):
        every, bad = told[slot]
        return [f'http_requests_total{{status="2xx"}} {every - bad + more}',
                f'http_requests_total{{status="5xx"}} {bad}', *LINES[2:]]

    def facts(message):
        said, number = json.loads(json.dumps(well(fleet)["facts"])), next(looks)
        said["live"] = "a" if number < 6 else "b"
        said["slots"]["b"] = json.loads(json.dumps(said["slots"]["a"]))
        said["slots"][said["live"]]["units"]["web"]["figures"] = lines(said["live"], number)
        return [line({"id": message["id"], "ok": said})]
    events, sent, _ = watched(fleet, {"root@web1.example": {"facts": facts}}, 300)
    assert sent == []
    assert all(look["rules"]["errors"]["text"].startswith(("-", "0 %")) for look in events if look["event"] == "look")


# ---- what a host says ----

def test_what_of_a_host_is_not_well(fleet):
    """A process that does not run, or says that it is not ready; one that a deploy pauses is well."""
    facts, host = well(fleet)["facts"], Host("web1", "web1", ("web", "worker", "beat"))
    assert hosts.ill(host, facts) == ""
    facts["slots"]["a"]["units"]["worker"]["health"] = "paused"
    assert hosts.ill(host, facts) == ""
    facts["slots"]["a"]["units"]["web"]["health"] = "/readyz answers 503"
    assert hosts.ill(host, facts) == "web: /readyz answers 503"
    facts["alone"]["beat"]["state"] = "failed"
    assert hosts.ill(Host("w", "w", ("beat",)), facts) == "beat is failed"
    assert hosts.ill(host, {**facts, "live": None}) == "web is not there"


def test_the_slot_of_figures(fleet):
    """It is the live one's: of another one they count anew."""
    facts = well(fleet)["facts"]
    said = [hosts.sample(Host("w", "w", ("web",)), 0.0, {**facts, "live": live}) for live in ("a", "b", None)]
    assert [(one.slot, one.answers) for one in said] == [
        ("a", {"2xx": 100.0, "5xx": 1.0}), ("b", None), ("", None)]


def test_a_host_forges_no_row(fleet):
    """Its words stay in its own, whatever they are."""
    facts, host = well(fleet)["facts"], Host("web1", "web1", ("web",))
    facts["slots"]["a"]["units"]["web"]["health"] = "\x1b[2Jx\nweb9  1 s ago  1 GB  up" + "y" * 999
    said = hosts.sample(host, 0.0, facts)
    assert said.problem == "web: \\x1b[2Jx"
    facts["slots"]["a"]["units"]["web"]["health"] = "y" * 999
    assert len(hosts.sample(host, 0.0, facts).problem) == 200


def test_a_place_forges_no_row(fleet, monkeypatch):
    """Nor does the front page, which may send to another URL."""
    async def forged(*words):  # no thread: a clock that jumps does not wait for one
        return "x\nweb9  1 s ago  1 GB  up", None
    monkeypatch.setattr(looking, "in_thread", forged)
    fleet.watch.update(front="http://127.0.0.1:1/", places=1)
    events, _, _ = watched(fleet, {}, 20)
    assert [event["text"] for event in events if event["event"] == "place"] == ["x"]


@pytest.mark.parametrize("said", [
    'http_requests_total{status="5xx"} NaN', 'http_requests_total{status="5xx"} -1', "http_requests_total 5",
    'http_requests_total{status="5xx"} 1e300', 'http_requests_total{status="5xx"} x', "\x1b[2J", "{}", ""])
def test_figures_that_make_no_sense(fleet, said):
    """They are nothing."""
    assert list(hosts.figures([said, LINES[0]])) == [("http_requests_total", "2xx", 100.0)]


# ---- alerts ----

def test_a_hook_that_fails_is_run_again():
    """Three times in all, then the next alert has its turn."""
    async def work():
        runs, warned = [], []

        async def hook(alert):
            runs.append(alert["rule"])
            return "exit 1" if alert["rule"] == "a" else ""
        sender = Sender(hook, warned.append)
        for rule in "ab":
            sender.waiting.put_nowait({"rule": rule})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(100):
                await sender.send()
        return runs, warned
    assert run(work()) == (["a", "a", "a", "b"], ["hooks.alert: exit 1"] * 3)


def test_a_hook_that_cannot_be_started(tmp_path, monkeypatch):
    """It has failed like any other."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asyncio.run(hooks.failure("true", {}, 5)) == "cannot be started: No such file or directory"


@pytest.mark.parametrize("words, code, told", [(["watch"], 0, ""), (["watch", "--once"], 130, "deploy: interrupted\n")])
def test_a_signal_is_its_proper_end(tmp_path, words, code, told):
    """TERM and Ctrl-C end it with 0, whatever it waits for; nothing is left of it. One look that did not end has found
    nothing well."""
    (tmp_path / "x.toml").write_text('app = "shop"\nimage = "x"\n[hosts.silent]\nroles = ["web"]\n')
    (tmp_path / "ssh").write_text("#!/bin/sh\necho $$ >>$0.pids\nexec sleep 100\n")
    (tmp_path / "ssh").chmod(0o755)
    for name in ("TERM", "INT"):
        script = (f"until test -s {tmp_path}/ssh.pids; do sleep 0.05; done; kill -{name} $0")
        command = [sys.executable, "-m", "slipway.deploy", "--config", tmp_path / "x.toml", *words]
        env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        with subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            done = run_program(["timeout", "30", "sh", "-c", script, str(process.pid)])
            assert done.returncode == 0
            assert process.wait(20) == code, process.stderr.read()
            assert process.stderr.read() == told
        pid = (tmp_path / "ssh.pids").read_text().split()[0]
        assert not os.path.exists(f"/proc/{pid}"), "its ssh is gone"
        (tmp_path / "ssh.pids").unlink()


# ---- places ----

EXPORTER = "probe_success 1\nprobe_ssl_earliest_cert_expiry 1.8e+09\n"


@pytest.fixture
def site():
    """A site on this machine: a page, one that fails, and a blackbox exporter's answer; `asked` are the paths."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()
            self.wfile.write(EXPORTER.replace("1\n", "0\n", "unreached" in self.path).encode())

        def log_message(self, *words):
            pass
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked, server
        server.shutdown()


def test_the_front_page_from_here(site):
    """An error, or nobody who listens, is told in a few words."""
    url = site[0]
    assert probes.from_here(url + "/", 5) == ("", None)
    assert probes.from_here(url + "/broken", 5) == ("answers 500", None)
    assert probes.from_here("http://127.0.0.1:1/", 5) == ("Connection refused", None)


def test_the_front_page_from_another_place(site):
    """The exporter there is asked for the module and the page, and its word counts."""
    url, asked, _ = site
    assert probes.from_place(url, "https://shop.example/?a=b", 5) == ("", 1.8e9)
    assert asked == ["/probe?module=front&target=https%3A%2F%2Fshop.example%2F%3Fa%3Db"]
    assert probes.from_place(url, "http://unreached/", 5)[0] == "does not reach it"
    assert probes.from_place("http://127.0.0.1:1", "http://x/", 5)[0] == "the exporter: Connection refused"


@contextlib.contextmanager
def raw(*parts, pause=0.0):
    """A site on this machine that answers each request by these bytes, with a pause after each part, and hangs up;
    yields its URL."""
    def answer(ours):
        with ours, contextlib.suppress(OSError):
            ours.recv(65536)
            for part in parts:
                ours.sendall(part)
                over.wait(pause)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        server.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\n"
BREAKS = {"in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
          "headers": OK + b"X-A: b\r\n" * 200 + b"\r\n"}


@pytest.mark.parametrize("how", BREAKS)
def test_an_answer_that_is_none(how):
    """One that breaks off, or is no HTTP, is a page that is not reached, and an exporter that does not tell."""
    with raw(BREAKS[how]) as url:
        assert probes.from_here(url + "/", 5)[0]
        assert probes.from_place(url, "http://x/", 5)[0].startswith("the exporter: ")


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"X-A: ", OK + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_an_answer_that_drips(head):
    """It is cut, and leaves no thread behind that reads on."""
    with raw(head, *[b"1"] * 200, pause=0.1) as url:
        began = time.monotonic()
        assert probes.from_here(url + "/", 0.5)[0]
        assert 0.4 < time.monotonic() - began < 5


def test_whatever_a_look_ends_by_is_told(fleet, monkeypatch):
    """It ends that look alone."""
    async def bad(*words):
        raise RecursionError("too deep\nby far")
    monkeypatch.setattr(looking, "in_thread", bad)
    fleet.watch.update(front="http://127.0.0.1:1/", places=1)
    events, sent, _ = watched(fleet, {}, 300)
    assert [event["text"] for event in events if event["event"] == "place"] == ["RecursionError: too deep"]
    assert [alert["rule"] for alert in sent] == ["front"]


def test_the_end_of_a_certificate(site, tmp_path, monkeypatch):
    """It is read from what is shown; a certificate that nobody vouches for is no page that is reached."""
    url, _, server = site
    done = run_program(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=x",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "k", "-out", tmp_path / "c"])
    assert done.returncode == 0, done.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    secure = url.replace("http:", "https:") + "/"
    assert "self-signed certificate" in probes.from_here(secure, 5)[0]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c"))
    said, ends = probes.from_here(secure, 5)
    assert said == "" and 9.9 < (ends - looking.time.time()) / 86_400 < 10.1


# ---- on a terminal ----

def look(hosts, broken=False):
    rule = {"value": 0.5, "now": "50 % of hosts up", "limit": "80 %", "alert": broken, "broken": broken,
            "about": ["web1"], "kept": False, "since": 200.0 if broken else None}
    found = {f"web{number}": {"problem": "is gone " * 30 if number == 1 and broken else "", "free": 5e9, "seen": 3.0}
             for number in range(1, hosts + 1)}
    return {"event": "look", "hosts": found, "rules": {"hosts_up": rule}}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("columns, lines, hosts", [(80, 24, 3), (60, 24, 3), (80, 10, 50), (80, 4, 50)])
def test_the_table_is_drawn_over_itself(monkeypatch, columns, lines, hosts):
    """It never has more lines or columns than the terminal; what is amiss stays in view, in red; changes are printed
    above it."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    shown = board.Board(Terminal())
    for broken in (False, True, False):
        shown.tell(look(hosts, broken))
        shown.tell({"event": "host", "host": "web1", "text": "is gone"})
    drawings = re.split("\033\\[\\d+F\033\\[J", shown.out.getvalue())
    ups = [int(found) for found in re.findall("\033\\[(\\d+)F", shown.out.getvalue())]
    plain = [re.sub("\033\\[\\d+m", "", text).splitlines() for text in drawings]
    above = [bool(re.match(r"\d\d:\d\d:\d\d web1: is gone$", text[0])) for text in plain]
    assert above == [False, True] * 3
    assert [len(text) - was for text, was in zip(plain, above)][:-1] == ups
    assert all(len(text) - was < lines and len(row) < columns for text, was in zip(plain, above) for row in text)
    assert "BROKEN for 3 min" in drawings[2] and ("\033[31mweb1" in drawings[2] or lines == 4)


@pytest.mark.parametrize("broken, kept, state", [
    (True, False, "BROKEN for 3 min"), (False, True, "BROKEN for 3 min, kept now"), (False, False, "BROKEN for 3 min")])
def test_an_alert_that_stays(broken, kept, state):
    """It says "kept now" only where that is known."""
    rule = {"alert": True, "broken": broken, "kept": kept, "since": 200.0, "now": "-", "limit": "2 GB", "about": []}
    assert board.rule_row("disk", rule)[2] == state


@pytest.mark.parametrize("seconds, text", [(119, "119 s"), (121, "2 min"), (7199, "120 min"), (7201, "2 h"),
                                           (10**6, "12 days")])
def test_how_long_ago(seconds, text):
    """It stays short."""
    assert board.ago(seconds) == text


@pytest.mark.parametrize("seconds", [10, 90, 900])
def test_a_terminal_of_80_columns_shows_whom_a_rule_is_about(fleet, seconds):
    """Two hosts of three, the longest state beside them."""
    rule = next(rule for rule in rules(fleet, fleet.app_hosts) if rule.name == "hosts_up")
    its = {"value": 0.333, "now": rule.words(0.3333), "limit": rule.bound, "alert": True, "broken": True,
           "about": ["web1", "web2"], "kept": False, "since": seconds}
    look = {"event": "look", "hosts": {}, "rules": {"hosts_up": its, "errors": {**its, "broken": False}}}
    assert [text for text, _ in board.fit(board.rows(look), 79, 22) if text.endswith(": web1, web2")]


def test_many_may_wait(monkeypatch):
    """A terminal that is slow is shown the last look alone."""
    shown = board.Board(Terminal())
    for _ in range(100):
        shown.tell(look(3), more=True)
    assert shown.out.getvalue() == ""
