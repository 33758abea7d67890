"""A slot that boots: its report of migrations, in a folder that may hold anything; and the news that it exited."""

import contextlib
import io
import json
import os
import threading
import time
from unittest import mock
from unittest.mock import ANY

import pytest

from connect import listen
from deployer.simulated import Simulated, world
from proc import wait_until
from slipway.deploy.agent import disk, facts, http, slots
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.progress import Progress
from slipway.deploy.agent.steps import readiness, start, switch
from slipway.deploy.agent.steps.switch import flip

DIED = Problem("web exited right after its start")
TOLD = "release v2\n[X]  shop.0001_initial\n[ ]  shop.0002_note\n"
MEDIA = "release v2\nmedia database\n"
LACKS = "lacks column shop_order.note is missing\nlacks table shop_line is missing\n"


@pytest.fixture
def attempt(tmp_path):
    """An attempt in which v2 boots in slot b; a test decides if it listens."""
    host = Simulated(tmp_path / "r")
    return Attempt(host, tag="v2", slot="b", live="a", started=0, action="deploy", image_id="sha256:v2")


def listening(attempt):
    """Let the slot's web listen while the block runs."""
    return listen(attempt.host.slot("b", "web.sock"))


def plan_of(attempt):
    return start.web_plan(attempt.host, attempt)


def test_migrations_are_told_as_a_slot_boots(attempt, monkeypatch):
    path, real, looks = attempt.host.slot("b", "web.plan"), disk.read_small, []
    with contextlib.ExitStack() as stack:

        def boot(*words):
            looks.append(words)
            if len(looks) == 2:
                disk.write(path, "")
                stack.enter_context(listening(attempt))
            elif len(looks) == 4:
                disk.write(path, TOLD.replace("release v2\n", MEDIA))
            return real(*words)

        monkeypatch.setattr(disk, "read_small", boot)
        assert plan_of(attempt) == {"shop.0001_initial": True, "shop.0002_note": False}
        assert attempt.media == "database"


@pytest.mark.parametrize(
    "first, media, lacking",
    [
        ("release v2\n", "", []),
        (MEDIA, "database", []),
        (MEDIA + LACKS, "database", ["column shop_order.note is missing", "table shop_line is missing"]),
        ("release v2\nlacks it\n", "", ["it"]),
    ],
)
def test_what_the_web_tells_before_its_migrations(attempt, first, media, lacking):
    disk.write(attempt.host.slot("b", "web.plan"), TOLD.replace("release v2\n", first))
    assert plan_of(attempt) == {"shop.0001_initial": True, "shop.0002_note": False}
    assert (attempt.media, attempt.lacking) == (media, lacking)


@pytest.mark.parametrize("listens", [True, False])
def test_who_says_nothing_is_not_waited_for(attempt, monkeypatch, listens):
    monkeypatch.setattr(start, "BOOT", 3600)
    attempt.died = None if listens else DIED
    with listening(attempt) if listens else contextlib.nullcontext():
        assert plan_of(attempt) is None


def waited_for(attempt, monkeypatch, answers, ended=lambda *words: None):
    """Wait 60 s for web, each of whose answers `answers(seconds)` returns. Return the seconds of each question and the
    Problem that ends it. `ended` raises a Problem if a process has ended. The clock is played."""
    asked, clock = [], [0.0]
    monkeypatch.setattr(readiness, "check_restarts", ended)
    monkeypatch.setattr(readiness, "problem_of", lambda *words: asked.append(clock[0]) or answers(clock[0]))
    with (
        world(attempt.host),
        mock.patch("time.monotonic", lambda: clock[0]),
        mock.patch("time.sleep", lambda seconds: clock.append(clock.pop() + seconds)),
        pytest.raises(Problem) as problem,
    ):
        readiness.all_ready(attempt.host, attempt, Progress(print), {"web": "shop-web@b.service"}, (), 60)
    return asked, str(problem.value)


def test_who_is_not_ready_soon_is_asked_less_often(attempt, monkeypatch):
    """A release that needs a minute is asked twice a second, not twenty times, for most of it."""
    asked, problem = waited_for(attempt, monkeypatch, lambda seconds: Problem("boots"))
    assert problem == "boots after 60 s"
    assert 90 < len([at for at in asked if at < 5]) < 110 and 100 < len([at for at in asked if at > 5.1]) < 120


def test_a_process_that_ends_again_and_again_is_noticed(attempt, monkeypatch):
    """While it is not ready, each fifth time: systemd takes longer than a request."""
    looked = []
    asked, _ = waited_for(attempt, monkeypatch, lambda seconds: Problem("boots"), lambda *words: looked.append(words))
    assert len(asked) // 5 <= len(looked) <= len(asked) // 5 + 1


@pytest.mark.parametrize(
    "answers, until, expected",
    [
        (lambda seconds: 503, 30, "answers 503 for 30 s"),
        (lambda seconds: 0 if seconds < 20 else 503, 50, "answers 503 for 30 s"),
        (lambda seconds: 503 if seconds < 20 else 500, 50, "answers 500 for 30 s"),
        (lambda seconds: 503 if int(seconds) % 20 else 0, 60, "answers 0 after 60 s"),
    ],
    ids=["the same", "listens late", "another later", "sometimes silent"],
)
def test_who_answers_the_same_error_is_given_half_the_time(attempt, monkeypatch, answers, until, expected):
    asked, problem = waited_for(
        attempt, monkeypatch, lambda seconds: Problem(f"answers {answers(seconds)}", status=answers(seconds))
    )
    assert problem == expected and until - 1 < asked[-1] < until + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown\n",
        "release v1\n[X]  a.b\n",
        "release v2\n",
        "release v2 \n[X]  a.b\n",
        TOLD + "\n",
        TOLD + "(none)\n",
        TOLD + "[?]  a.b\n",
        TOLD + "[X] a.b\n",
        TOLD + "[X]  a\n",
        TOLD + "[X]  a.\033[2J\n",
        MEDIA,
        MEDIA + TOLD,
        TOLD + "media local\n",
        TOLD.replace("\n", "\nmedia moon\n", 1),
        MEDIA + LACKS,
        TOLD + LACKS,
        TOLD.replace("\n", "\nlacks\n", 1),
        TOLD.replace("\n", "\nlacks \n", 1),
        TOLD.replace("\n", f"\nlacks {3000 * 'x'}\n", 1),
        TOLD.replace("\n", "\nlacks \033[2J\n", 1),
        TOLD.replace("\n", "\nlacks \u00e9\n", 1),
        TOLD.replace("\n", f"\n{LACKS}media local\n", 1),
        TOLD + "[X]  a.b c\n",
        TOLD + "[X]  a.\u00e9\n",
        "[X]  a.b\n" + TOLD,
        "\0" * 5000,
        "release v2\n" + "[X]  a.b\n" * 200_000,
        None,
    ],
)
def test_what_is_not_the_release_s_word_is_unknown(attempt, monkeypatch, text):
    monkeypatch.setattr(start, "BOOT", 1)
    path = attempt.host.slot("b", "web.plan")
    if text is None:
        os.mkfifo(path)
    else:
        disk.write(path, text)
    with listening(attempt):
        assert plan_of(attempt) is None
    assert not (attempt.media or attempt.lacking)


def event(name):
    actor = {"ID": "old", "Attributes": {"name": name, "image": "x"}}
    return json.dumps({"Action": "die", "Actor": actor}).encode() + b"\n"


def hear(attempt, monkeypatch, *lines, status=200):
    """Return what the deployer hears after these events of the engine."""
    said = []
    stream = contextlib.nullcontext((status, io.BytesIO(b"".join(lines))))
    monkeypatch.setattr(http, "stream", lambda *words: stream)
    start.report_container_ends(attempt.host, attempt, said.append, threading.Event())
    return said


@pytest.mark.parametrize("role, action", [("web", "deploy"), ("worker", "deploy"), ("web", "rollback")])
def test_what_ends_before_the_flip_is_told_at_once(attempt, monkeypatch, role, action):
    attempt = Attempt(attempt.host, **{**attempt.noted, "action": action})
    if (role, action) == ("web", "deploy"):
        start.start(attempt.host, attempt, print, ["web"], migrated=True)
    first = [event("shop-worker-b")] if action == "rollback" else []
    (said,) = hear(
        attempt, monkeypatch, b"x\n", b"[]\n", event("shop-web-a"), *first, event(f"shop-{role}-b"), event("shop-web-b")
    )
    assert said == {
        "event": "sick",
        "step": "start",
        "problem": f"{role} exited right after its start",
        "details": {"log_of": (f"shop-{role}-b", pytest.approx(time.time() - time.monotonic(), abs=60), ANY)},
    }
    assert str(attempt.died) == said["problem"]
    attempt.note(one_offs=True)  # steps before the flip may still run
    with world(attempt.host), pytest.raises(Problem, match=f"{role} exited"):
        flip(attempt.host, attempt, print, [])
    assert slots.live(attempt.host) == "a"


def test_web_may_exit_until_no_migration_is_to_come(attempt, monkeypatch):
    heard = hear(attempt, monkeypatch, event("shop-web-b"), event("shop-web-b"))
    assert heard == [{"event": "progress", "text": "web exited right after its start; it may need the migrations"}]
    with pytest.raises(Problem, match="web exited"):
        start.ready(attempt.host, attempt, heard.append, 0, [], ["web"])
    assert (heard[1]["event"], heard[1]["step"]) == ("sick", "start")
    attempt.died = None
    assert hear(attempt, monkeypatch, event("shop-web-b"))[0]["event"] == "sick"


def test_what_is_started_again_has_not_ended(attempt, monkeypatch):
    slots.pin(attempt.host, "b", {"tag": "v2", "image_id": "sha256:v2"}, "")
    monkeypatch.setattr(facts, "containers", lambda host, ended=False: {"shop-web-b": ("new", "sha256:v2", 1)})
    heard, asked = hear(attempt, monkeypatch, event("shop-web-b")), []

    def systemctl(*words, **options):
        asked.append(words)
        heard.extend(hear(attempt, monkeypatch, event("shop-web-b")))

    monkeypatch.setattr(attempt.host, "systemctl", systemctl)
    for _ in range(2):  # the second time it runs
        start.start(attempt.host, attempt, print, ["web"], migrated=True)
    assert asked == [("restart", "shop-web@b.service")] and [one["event"] for one in heard] == ["progress"]
    assert not attempt.died and not hear(attempt, monkeypatch, event("shop-web-b"))
    new = event("shop-web-b").replace(b"old", b"new")
    assert len(hear(attempt, monkeypatch, event("shop-web-b"), new, event("shop-worker-b"))) == 1 and attempt.died


def test_what_ends_is_none_of_ours_or_is_watched_already(attempt, monkeypatch):
    others = [event(name) for name in ("shop-web-a", "shop-beat", "ashop-web-b", "shop-web-b2", "shop-migrate")]
    assert not hear(attempt, monkeypatch, *others) and not hear(attempt, monkeypatch, event("shop-web-b"), status=500)
    with world(attempt.host), pytest.raises(Problem, match="through nginx"):
        flip(attempt.host, attempt, print, [])
    assert not hear(attempt, monkeypatch, event("shop-web-b")) and not attempt.died


@pytest.mark.parametrize(
    ("failures", "stale"),
    [pytest.param(switch.FAILURES - 1, 0, id="busy"), pytest.param(switch.FAILURES + 2, switch.STALE, id="stale")],
)
def test_few_or_old_answers_through_nginx_take_no_release_back(attempt, monkeypatch, failures, stale):
    """On a busy machine each answer to /readyz may take longer than STALE, and be 503 as it took so long; and a web
    repeats an old answer for a second."""
    assert flips(attempt, monkeypatch, failures, stale)


def test_a_release_that_stays_unready_through_nginx_is_taken_back(attempt, monkeypatch):
    with pytest.raises(Problem, match="503 through nginx"):
        flips(attempt, monkeypatch, switch.FAILURES, stale=0)


def flips(attempt, monkeypatch, failures, stale):
    slots.pin(attempt.host, "b", {"tag": "v2", "image_id": "sha256:v2"}, "")
    answers = iter([Problem("/readyz answers 503")] * failures + [None])
    monkeypatch.setattr(switch, "web_problem", lambda *args: next(answers))
    monkeypatch.setattr(switch, "STALE", stale)
    with world(attempt.host):
        flip(attempt.host, attempt, print, [])
    return next(answers, "none is left") == "none is left"


def test_it_is_heard_before_anything_starts(attempt, monkeypatch):
    order = []

    @contextlib.contextmanager
    def stream(sock, path, seconds):
        order.append("listens")
        yield 200, io.BytesIO(b"")

    slots.pin(attempt.host, "b", {"tag": "v2", "image_id": "sha256:v2"}, "")
    with world(attempt.host), mock.patch.object(http, "stream", stream):
        monkeypatch.setattr(attempt.host, "start", order.append)
        monkeypatch.setattr(start, "await_containers", lambda host, names: None)
        for role in ("web", "worker"):
            start.start(attempt.host, attempt, print, [role])
            wait_until(lambda: not attempt.hears, 20, "it has broken off")
        attempt.hears = True
        start.start(attempt.host, attempt, print, ["web"])
    assert order == ["listens", "shop-web@b.service", "listens", "shop-worker@b.service", "shop-web@b.service"]
