"""What a slot says as it boots: its migrations, in a folder that anything may be in; and that it has ended."""

import contextlib
import io
import json
import os
import socket
import threading

import pytest

from slipway.deploy.agent import disk, facts, http, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps import readiness, start
from slipway.deploy.agent.steps.switch import flip
from deployer.simulated import Simulated, world

TOLD = "release v2\n[X]  shop.0001_initial\n[ ]  shop.0002_note\n"


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """v2 boots in slot b, and listens once the test says so."""
    monkeypatch.setattr(start, "BOOT", 1)
    host = Simulated(tmp_path / "r")
    return Attempt(host, tag="v2", slot="b", live="a", began=0, action="deploy", image_id="sha256:v2")


@contextlib.contextmanager
def listening(attempt):
    """The slot's web listens while the block runs."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(attempt.host.slot("b", "web.sock"))
        sock.listen()
        yield


def told(attempt):
    return start.told(attempt.host, attempt)


def test_migrations_are_told_as_a_slot_boots(attempt):
    """The file is waited for while it is empty, though the web listens, and while the web does not."""
    path = attempt.host.slot("b", "web.plan")
    asked = threading.Event()

    def boot():
        asked.wait(5)
        disk.write(path, "")
        with listening(attempt):
            for _ in range(2):  # the first may have begun before it listened
                asked.clear()
                asked.wait(5)
            disk.write(path, TOLD)
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, disk, "read_small", disk.read_small)
        real = disk.read_small
        disk.read_small = lambda *words: asked.set() or real(*words)
        threading.Thread(target=boot).start()
        assert told(attempt) == {"shop.0001_initial": True, "shop.0002_note": False}


def test_a_web_that_listens_and_has_no_such_file_does_not_know_of_it(attempt, monkeypatch):
    """It is not waited for."""
    monkeypatch.setattr(start, "BOOT", 3600)
    with listening(attempt):
        assert told(attempt) is None


def test_a_file_that_stays_empty_is_not_waited_for_for_ever(attempt):
    disk.write(attempt.host.slot("b", "web.plan"), "")
    assert told(attempt) is None


def test_who_has_ended_is_not_waited_for(attempt, monkeypatch):
    """The wait for its word ends at once."""
    monkeypatch.setattr(start, "BOOT", 3600)
    attempt.died = Problem("web ended as soon as it had started")
    assert told(attempt) is None


@pytest.mark.parametrize("text", [
    "unknown\n", "release v1\n[X]  a.b\n", "release v2\n", "release v2 \n[X]  a.b\n", TOLD + "\n", TOLD + "(none)\n",
    TOLD + "[?]  a.b\n", TOLD + "[X] a.b\n", TOLD + "[X]  a\n", TOLD + "[X]  a.\033[2J\n", TOLD + "[X]  a.b c\n",
    TOLD + "[X]  a.\u00e9\n", "[X]  a.b\n" + TOLD, "\0" * 5000, "release v2\n" + "[X]  a.b\n" * 200_000])
def test_what_is_not_the_release_s_word_is_unknown(attempt, text):
    """Another release's, malformed in any line, or too long."""
    disk.write(attempt.host.slot("b", "web.plan"), text)
    with listening(attempt):
        assert told(attempt) is None


def link(path, folder):
    (folder / "elsewhere").write_text(TOLD)
    os.symlink(folder / "elsewhere", path)


def hundred_megabytes(path, folder):
    with open(path, "w") as file:
        file.write(TOLD)
        file.truncate(100_000_000)


def pipe(path, folder):
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    threading.Timer(5, os.close, [writer]).start()


@pytest.mark.parametrize("harm", [link, hundred_megabytes, pipe, lambda path, folder: os.mkdir(path)])
def test_nothing_hostile_is_read(attempt, tmp_path, harm):
    """No link is followed, no pipe waited for, and no more is read than a megabyte."""
    harm(attempt.host.slot("b", "web.plan"), tmp_path)
    with listening(attempt):
        assert told(attempt) is None


# ---- what ends ----

def event(name):
    actor = {"ID": "old", "Attributes": {"name": name, "image": "x"}}
    return json.dumps({"Action": "die", "Actor": actor}).encode() + b"\n"


def hear(attempt, monkeypatch, *lines, status=200):
    """What the deployer hears when the engine tells these."""
    said = []
    stream = contextlib.nullcontext((status, io.BytesIO(b"".join(lines))))
    monkeypatch.setattr(http, "stream", lambda *words: stream)
    start.hear(attempt.host, attempt, said.append, threading.Event())
    return said


@pytest.mark.parametrize("role", ["web", "worker"])
def test_what_ends_before_the_flip_is_told_at_once(attempt, monkeypatch, role):
    """Whatever step is under way."""
    said, = hear(attempt, monkeypatch, b"x\n", b"[]\n", event("shop-web-a"), event(f"shop-{role}-b"),
                 event("shop-web-b"))
    assert said == {"event": "sick", "step": "start", "problem": f"{role} ended as soon as it had started",
                    "more": {"log_of": (f"shop-{role}-b", 0)}}
    assert str(attempt.died) == said["problem"]
    attempt.note(changed=True)  # the deployer may well go on


def test_ends_of_before_a_new_start_are_past(attempt, monkeypatch):
    """They may be told late; and more than the first is heard."""
    attempt.anew = {"shop-web-b": "new"}
    assert not hear(attempt, monkeypatch, event("shop-web-b")) and not attempt.died
    assert len(hear(attempt, monkeypatch, event("shop-web-b"), event("shop-worker-b"), event("shop-worker-b"))) == 1


def test_what_is_started_once_more_has_not_ended(attempt, monkeypatch):
    """The engine tells of the end of a web that was well before the restart returns, and of the new one's later."""
    slots.pin(attempt.host, "b", {"tag": "v2", "image_id": "sha256:v2"}, "")
    monkeypatch.setattr(facts, "containers", lambda host, ended=False: {"shop-web-b": ("new", "sha256:v2", 1)})
    heard = []

    def restart(*words, **options):
        heard.extend(hear(attempt, monkeypatch, event("shop-web-b")))
    monkeypatch.setattr(attempt.host, "systemctl", restart)
    readiness.start_anew(attempt.host, attempt)
    assert not heard and not attempt.died and not hear(attempt, monkeypatch, event("shop-web-b"))
    assert hear(attempt, monkeypatch, event("shop-web-b").replace(b"old", b"new")) and attempt.died


def test_a_rollback_hears_of_its_web_alone(attempt, monkeypatch):
    """Nothing else keeps its visitors."""
    attempt.noted["action"] = "rollback"
    said, = hear(attempt, monkeypatch, event("shop-worker-b"), event("shop-web-b"))
    assert said["problem"].startswith("web ")


def test_what_has_ended_gets_no_visitors(attempt, monkeypatch):
    """Though the deployer, who does not know it yet, says so."""
    attempt.died = Problem("web ended as soon as it had started")
    with world(attempt.host), pytest.raises(Problem, match="web ended"):
        flip(attempt.host, attempt, print, [])
    assert slots.live(attempt.host) == "a"


def test_what_ends_is_none_of_ours_or_is_watched_already(attempt, monkeypatch):
    """The live slot, beat, another app; and from the flip on anything, as the watcher tells of it then."""
    others = [event(name) for name in ("shop-web-a", "shop-beat", "ashop-web-b", "shop-web-b2", "shop-migrate")]
    assert not hear(attempt, monkeypatch, *others) and not hear(attempt, monkeypatch, event("shop-web-b"), status=500)
    with world(attempt.host), pytest.raises(Problem, match="through nginx"):
        flip(attempt.host, attempt, print, [])
    assert not hear(attempt, monkeypatch, event("shop-web-b")) and not attempt.died


def test_it_is_heard_before_anything_starts(attempt, monkeypatch):
    """The engine is asked, and then units are started: an end cannot come between. It is asked anew where it has broken
    off since."""
    order = []

    @contextlib.contextmanager
    def stream(sock, path, seconds):
        order.append("listens")
        yield 200, io.BytesIO(b"")
    slots.pin(attempt.host, "b", {"tag": "v2", "image_id": "sha256:v2"}, "")
    with world(attempt.host):
        monkeypatch.setattr(http, "stream", stream)
        monkeypatch.setattr(attempt.host, "start", order.append)
        monkeypatch.setattr(start, "await_containers", lambda host, names: None)
        for role in ("web", "worker"):
            start.start(attempt.host, attempt, print, [role])
        attempt.hears = True
        start.start(attempt.host, attempt, print, ["web"])
    assert order == ["listens", "shop-web@b.service", "listens", "shop-worker@b.service", "shop-web@b.service"]
