"""Who gets the page of `slipway view`, and what its server answers."""

import http.client
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from slipway.deploy.commands import view
from slipway.deploy.errors import DeployError
from slipway.deploy.view.server import Server


@pytest.fixture
def server():
    server = Server(0, lambda: {"app": "shop"}, lines)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def lines(request, at):
    if request == "is-silent":
        raise DeployError("no logs from web1")
    return [f"web1 web {request} at {at}"]


def ask(server, path, host="127.0.0.1", key="", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {"Host": f"{host}:{server.server_port}", "Authorization": f"Bearer {key}", **headers}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


# ---- who gets the page ----


def test_the_key_is_in_the_part_of_the_address_that_no_browser_sends(server):
    assert server.address_with_token == f"http://127.0.0.1:{server.server_port}/#token={server.token}"
    for path, kind in {"/": "text/html", "/main.js": "text/javascript", "/style.css": "text/css"}.items():
        status, headers, body = ask(server, path)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8") and "shop" not in body
        assert "script-src 'self'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers, "other servers on this machine would get it"
    assert json.loads(ask(server, "/state.json", key=server.token)[2]) == {"app": "shop"}
    assert ask(server, "/state.json", host="localhost", key=server.token)[0] == 200


@pytest.mark.parametrize("path", ["/state.json", "/lines.json?request=3f2a3f2a&at=1", "/state.json?token=TOKEN", "/x"])
def test_nobody_else_is_told_anything(server, path):
    path = path.replace("TOKEN", server.token)
    for key in ("", "guess", server.token[:-1], "\u00e9".encode().decode("latin-1")):
        status, _, body = ask(server, path, key=key)
        assert status == 403 and "shop" not in body and "3f2a" not in body
    assert ask(server, path, key="", Authorization=server.token)[0] == 403


@pytest.mark.parametrize(
    "cookie", ['a={"b": [1, "c;d"]}', "a=\u00e9", "slipway_view=guess", "a=b; c", ";;=", "a" * 8000]
)
def test_cookies_of_other_servers_change_nothing(server, cookie):
    """A browser sends them to all ports of 127.0.0.1."""
    assert ask(server, "/state.json", key=server.token, Cookie=cookie.encode("utf-8").decode("latin-1"))[0] == 200


def test_a_name_that_leads_here_is_another_site(server):
    """DNS rebinding: a page of evil.example may reach this server."""
    for path in ("/", "/state.json"):
        assert ask(server, path, host="evil.example", key=server.token)[0] == 421


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/page/main.js", "/__init__.py", "//etc/passwd"]
)
def test_only_the_page_s_files_are_served(server, path):
    assert ask(server, path, key=server.token)[0] == 404


def test_the_log_of_a_request(server):
    answers = {
        "request=3f2a3f2a&at=1796126355.123": (200, ["web1 web 3f2a3f2a at 1796126355.123"]),
        "request=is-silent&at=1": (200, ["no logs from web1"]),
    }
    for query, (status, told) in answers.items():
        got = ask(server, f"/lines.json?{query}", key=server.token)
        assert (got[0], json.loads(got[2])) == (status, told)
    for query in (
        "",
        "request=3f2a3f2a",
        "request=$(reboot)&at=1",
        "request=3f2a3f2a&at=nan",
        "request=3f2a3f2a&at=1&x=1",
    ):
        assert ask(server, f"/lines.json?{query}", key=server.token)[0] == 404, query


@pytest.mark.parametrize(
    ("error", "status", "text"), [(TimeoutError(), 503, "this machine is too busy"), (ValueError("x\udcff"), 500, "x")]
)
def test_figures_that_cannot_be_computed_are_an_answer(server, capfd, error, status, text):
    """Else the page would say that the command has ended."""

    def fails():
        raise error

    server.state = fails
    answer = ask(server, "/state.json", key=server.token)
    assert answer[0] == status and text in answer[2]
    server.state = dict
    assert ask(server, "/state.json", key=server.token)[0] == 200


def test_a_browser_that_has_gone_is_no_error(server, capfd):
    """The page gives an answer up that takes too long."""
    asked, gone, done = threading.Event(), threading.Event(), threading.Event()

    def state():
        asked.set()
        gone.wait(10)
        return {"much": "x" * 10**7}

    server.state = state
    server.shutdown_request = lambda request: (type(server).shutdown_request(server, request), done.set())
    browser = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    browser.request("GET", "/state.json", headers={"Authorization": f"Bearer {server.token}"})
    assert asked.wait(10)
    browser.close()
    gone.set()
    assert done.wait(10)
    assert capfd.readouterr().err == ""


def test_it_only_reads(server):
    assert ask(server, "/state.json", key=server.token, method="POST")[0] == 501


def test_it_listens_on_this_machine_alone(server, capfd):
    assert server.server_address[0] == "127.0.0.1"
    ask(server, "/state.json", key=server.token)
    assert capfd.readouterr() == ("", ""), "no log has the token"


def test_the_browser_is_led_by_a_file_of_its_owner(tmp_path):
    path = view.redirect(str(tmp_path), "http://127.0.0.1:1/#token=a&b")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert 'content="0; url=http://127.0.0.1:1/#token=a&amp;b"' in Path(path).read_text()
