"""Where a line ends: at a line feed, and not at the other characters that Unicode calls the end of a line. A client, a
container or an app's database may choose these."""

import subprocess

import pytest

from slipway.deploy.agent import docker, facts
from slipway.deploy.agent.host import Host, last_output, lines_of
from slipway.deploy.agent.steps.start import parse_web_plan
from slipway.deploy.agent.steps.verdicts import parse_plan
from slipway.deploy.backup import shell

ENDS = "\x0b\x0c\x0d\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("lines", [lines_of, shell.lines_of])
@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), ("\n", [""]), ("a", ["a"]), ("a\n", ["a"]), ("a\n\nb\n", ["a", "", "b"]), (ENDS, [ENDS])],
)
def test_lines(lines, text, expected):
    assert lines(text) == expected


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_a_lock_is_held_whatever_its_description(monkeypatch, end):
    """status must not say that a deploy died which runs. An agent before this one took any description."""
    host = Host("shop")
    shown = f"Id={host.lock}\nDescription=ann{end}ActiveState=inactive{end}Id=x\nActiveState=active\n\nId=b\n"
    done = subprocess.CompletedProcess([], 0, shown, "")
    monkeypatch.setattr(host, "systemctl", lambda *words: done)
    state = host.states(host.lock, "b")[host.lock]
    assert state["ActiveState"] == "active" and state["Description"].startswith(f"ann{end}")


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_what_containers_and_docker_say(monkeypatch, end):
    assert last_output(f"a{end}b\n", 1) == f"a{end}b"
    assert docker.error_of(500, f'{{"message": "no{end}such image"}}'.replace("\r", "\\r")) in (
        f"no{end}such image",
        "its answer is not JSON",
    )
    assert parse_plan(f"[X]  app.0001{end}[ ]  app.0002\n[X]  app.0003\n").get("app.0003") is True
    assert "app.0002" not in parse_plan(f"[X]  app.0001{end}[ ]  app.0002\n")
    assert parse_web_plan(f"release v1{end}[X]  app.0001\n", "v1") == ("", [], None)
    assert parse_web_plan(f"release v1\nlacks a{end}lacks b\n[X]  app.0001\n", "v1") == ("", [], None)
    host = Host("shop")
    done = subprocess.CompletedProcess([], 0, f"an error{end}and more\nGET /readyz\n", "")
    monkeypatch.setattr(host, "call", lambda *words, **options: done)
    assert facts.last_lines(host, "shop-web-a", 1, 2)["log"] == [f"an error{end}and more"]
