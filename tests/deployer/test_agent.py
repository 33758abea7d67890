"""The agent's steps on a simulated host: whatever is killed when, the invariants of docs/design.md hold."""

import contextlib
import errno
import json
import os
import random
import subprocess
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.deploy.agent import disk, facts, fate, http, releases, serve, slots, takeback
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.roles import Process
from slipway.deploy.agent.steps import commit, replace
from slipway.deploy.agent.steps.table import STEPS
from deployer.simulated import FOREVER, OWN, Killed, Simulated, world

TAGS = ("v1", "v2", "v3", "bad")
IN_SLOTS = ["web", "worker", "mail"]
PROVE = (("publish", {}), ("upload", {"bucket": "s3://shop/static", "seconds": 9}), ("migrate", {"seconds": 9}),
         ("start", {"roles": IN_SLOTS}),
         ("ready", {"seconds": 0, "smoke": ["/"], "roles": IN_SLOTS}))
TURN = (("pause", {"seconds": 0}),
        ("flip", {"smoke": ["/"], "watch": {"max_errors": 0.05, "alone": True}}),
        ("watch", {"seconds": 0}), ("replace", {"seconds": 0}), ("watch", {"seconds": 0}),
        ("prepare", {}), ("promise", {}), ("commit", {}))
BACK = (("start", {"roles": ["web"]}), ("ready", {"seconds": 0, "smoke": ["/"], "roles": ["web"]}),
        ("flip", {"smoke": ["/"]}), ("pause", {"seconds": 0}), ("start", {"roles": IN_SLOTS[1:]}),
        ("ready", {"seconds": 0, "smoke": ["/"], "roles": IN_SLOTS[1:]}), ("replace", {"seconds": 0}), *TURN[-3:])


def release(tag):
    return {"tag": tag, "image_id": f"sha256:{tag}"}


class Machine:
    """A host and what its deployer and systemd do to it."""

    def __init__(self, root, own=()):
        self.host = Simulated(root, self.at_every_instant, own)
        self.host.broken.add("bad")
        self.served, self.done, self.say = False, [], lambda event: None

    def steps(self, action, tag):
        """(step, arguments) of a deploy."""
        known = {"image_id": f"sha256:{tag}"} if action == "rollback" else {}
        begin = {"id": str(len(self.done)), "action": action, "tag": tag, "digest": f"digest:{tag}", "who": "ann",
                 "keep_warm": 600, "program": "/agent", "roles": [], "image_id": "", **known}
        steps = (*PROVE, *TURN) if action != "rollback" else BACK
        return [("begin", begin), ("pull", {"image": "shop"}), *steps]

    def attempt(self, action, tag, fuse=FOREVER, until=99, aborted=False, full=False):
        """A deploy whose agent dies after `fuse` effects, or whose deployer gives up after `until` steps, and says so
        when it is `aborted`; /run is `full` by then. Then systemd takes the host back."""
        self.host.fuse = fuse
        attempt = Attempt(self.host, program="/agent")
        try:
            for name, args in self.steps(action, tag)[:until]:
                STEPS[name](self.host, attempt, self.say, **args)
            self.host.full = full
            if aborted:
                self.abort(attempt)
        except (Problem, Killed):
            pass
        self.settle()
        self.host.full = False

    def abort(self, attempt):
        """The agent's end, on the deployer's word: visitors are back by then."""
        with mock.patch("os._exit", side_effect=Killed):
            serve.abort(attempt, {"cause": "told to"})

    def settle(self, fuse=FOREVER):
        self.host.fuse = fuse
        try:
            takeback.settle(self.host, self.say)
        except Killed:
            pass

    def at_every_instant(self):
        """A release serves that is whole, TAG was committed, REVERT is another committed one."""
        tag, revert = releases.read_tag(self.host.tag), releases.read_tag(self.host.revert)
        if self.served:
            status, body = self.host.ask("nginx.sock", "/")
            assert status == 200, f"visitors get {body}"
        assert revert is None or revert != tag, f"TAG and REVERT are both {tag}"
        assert "bad" not in [found["tag"] for found in (tag, revert) if found]
        self.served = self.served or bool(tag)

    def at_rest(self):
        """After the dust has settled: one release, everywhere on the host, and nothing left over."""
        self.at_every_instant()
        assert not [name for name in os.listdir(self.host.var) if name.endswith((".next", ".new"))]
        assert not [name for name in os.listdir(self.host.run) if name.endswith(".back")]
        host, live, tag = self.host, slots.live(self.host), releases.read_tag(self.host.tag)
        assert not any(host.one_offs.values()), "a one-off of an attempt is left"
        assert disk.read(host.attempt) is None
        running = {unit: found[0] for unit, found in host.up.items()}
        if tag:
            wanted = {*slots.units(host, live), *map(host.unit, host.alone())}
            assert {"shop-web@a.service", "shop-worker@b.service", "shop-beat.service"} & wanted
            assert {unit: running.get(unit) for unit in wanted} == dict.fromkeys(wanted, tag["tag"])
            assert slots.release_in(host, live) == tag
            assert host.worker(host, live)[0] == "consuming"
        else:
            assert not running
        idle = slots.other(live)
        old = {unit for unit in running if f"@{idle}" in unit}
        warm = slots.release_in(host, idle)
        assert len(old) == (2 if warm else 0), (warm, old)
        assert not warm or host.timer and host.timer[0] == idle, "nothing will stop the warm slot"
        records, torn = releases.read_log(host)
        committed = [record["tag"] for record in records if record["outcome"] == "committed"]
        assert not torn and (not tag or committed[-1] == tag["tag"])
        assert releases.read_tag(host.revert) == (tag and releases.revert_for(records, tag, tag["tag"]))


ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.integers(0, 90), st.integers(1, 12)),
    st.tuples(st.just("deploy"), st.sampled_from(TAGS), st.just(FOREVER), st.just(99)),
    st.tuples(st.just("rollback"), st.just(""), st.one_of(st.integers(0, 60), st.just(FOREVER)), st.just(99)),
    st.tuples(st.just("settle"), st.just(""), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("reboot"), st.just(""), st.just(0), st.just(0)),
)


def act(machine, action, tag, fuse, until):
    if action == "reboot":
        machine.host.reboot()
        machine.settle()
    elif action == "settle":  # a deploy's agent dies, and then what should take the host back, too
        machine.host.fuse = fuse + 20
        try:
            attempt = Attempt(machine.host, program="/agent")
            for name, args in machine.steps("deploy", "v2"):
                STEPS[name](machine.host, attempt, machine.say, **args)
        except (Problem, Killed):
            pass
        machine.settle(fuse)
        machine.settle()
    elif action == "rollback":
        revert = releases.read_tag(machine.host.revert)
        if revert:
            machine.attempt("rollback", revert["tag"], fuse)
    else:
        current = releases.read_tag(machine.host.tag)
        machine.attempt("restart" if current == release(tag) else "deploy", tag, fuse, until)


@settings(max_examples=80)
@given(st.lists(ACTIONS, min_size=1, max_size=6), st.sampled_from(((), OWN)))
def test_the_invariants_hold_whatever_happens(actions, own):
    """Deploys, rollbacks, deaths of agent and takeback after any effect, reboots, in any order; also of processes of a
    team's own."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", own)
        with world(machine.host):
            for action in [("deploy", "v1", FOREVER, 99), *actions]:
                act(machine, *action)
                machine.at_rest()


def state(host):
    """All that a deploy changes on a host, but for the idle slot and the log."""
    live = slots.live(host)
    files = [host.tag, host.revert, host.env, host.env + ".next", host.env + ".revert",
             *(host.slot_file(slot, kind) for slot in (live, *host.alone()) for kind in ("tag", "env"))]
    units = [*slots.units(host, live), *map(host.unit, host.alone())]
    return live, [disk.read(path) for path in files], [host.up[unit][0] for unit in units], host.worker(host, live)


@settings(max_examples=15)
@given(st.lists(st.sampled_from(("v1", "v2")), max_size=3), st.sampled_from(("v2", "v3", "bad")), st.booleans(),
       st.sampled_from(((), OWN)))
def test_what_is_undone_is_as_it_was(earlier, tag, staged, own):
    """After any deploys, one that is given up after any step before all is prepared restores what it started from."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(f"{folder}/root", own)
        with world(machine.host):
            for release_before in ("v1", *earlier):
                machine.attempt("deploy", release_before)
            if staged:
                disk.write(machine.host.env + ".next", "SECRET_KEY=2\n", 0o600)
            before = state(machine.host)
            for until in range(len(machine.steps("deploy", tag)) - 1):
                machine.attempt("deploy", tag, until=until)
                assert state(machine.host) == before, f"after {until} steps"
                machine.at_rest()


@pytest.mark.parametrize("aborted", [False, True])
def test_going_back_needs_no_new_file(tmp_path, aborted):
    """With no room for another file in /run the host goes back all the same, after any step up to the last before
    the commit: the deployer's word counts after prepare too."""
    machine = Machine(tmp_path / "root", OWN)
    with world(machine.host):
        machine.attempt("deploy", "v1")
        before, steps = state(machine.host), machine.steps("deploy", "v2")
        for until in range(1, len(steps) if aborted else len(steps) - 1):
            machine.say = lambda event: None if event.get("state") != "failed" else pytest.fail(str(event))
            machine.attempt("deploy", "v2", until=until, aborted=aborted, full=True)
            assert state(machine.host) == before, f"after {steps[until - 1][0]}"
            machine.at_rest()


ODD = (None, True, -1, 1e308, "", "\0x", "a", [], ["x"], [["x"]], [["x", 1]], {}, {"x": None})


def spoilt(text, random):
    """The text of an attempt with a key less, or another value, or a part of it."""
    attempt = json.loads(text)
    key, way = random.choice(sorted(attempt)), random.randrange(5)
    if way == 0:
        return random.choice(["", "{}", text[:random.randrange(len(text))], "[" * 100_000, "\0" + text])
    del attempt[key]
    return json.dumps(attempt if way == 1 else {**attempt, key: random.choice(ODD)})


def test_an_attempt_that_nobody_can_read(tmp_path):
    """However malformed: it is told in a line, the host goes back to what TAG names, and the attempt is gone."""
    seeded, machine = random.Random(25), Machine(tmp_path / "root", OWN)
    host, malformed = machine.host, 0
    with world(host):
        machine.attempt("deploy", "v1")
        for number in range(60):
            attempt, said = Attempt(host, program="/agent"), []
            tag = next(tag for tag in ("v2", "v3") if release(tag) != releases.read_tag(host.tag))
            for name, args in machine.steps("deploy", tag)[:seeded.randrange(1, 15)]:
                STEPS[name](host, attempt, machine.say, **args)
            text = spoilt(disk.read(host.attempt), seeded)
            disk.write(host.attempt, text)
            takeback.settle(host, said.append)
            told = [event["problem"] for event in said if event.get("state") == "failed"]
            assert all("what a deploy writes down" in line and "\n" not in line for line in told), told
            assert disk.read(host.attempt) is None, text
            assert slots.release_in(host, slots.live(host)) == releases.read_tag(host.tag), text
            if told:
                malformed += 1
                machine.at_rest()
            machine.host.reboot()
    assert malformed > 15


def test_visitors_are_back_when_the_agent_ends(tmp_path):
    """Not first when systemd has started what takes the host back."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        attempt, live = Attempt(host, program="/agent"), slots.live(host)
        for name, args in machine.steps("deploy", "v2")[:-1]:
            STEPS[name](host, attempt, machine.say, **args)
        assert slots.live(host) != live and releases.read_attempt(host)["promised"]
        with pytest.raises(Killed):
            machine.abort(attempt)
        assert slots.live(host) == live and not releases.read_attempt(host)["promised"]
        machine.settle()
        assert releases.read_tag(host.tag) == release("v1")
        assert releases.read_log(host)[0][-1]["cause"] == "told to"


def test_no_step_writes_after_an_abort(tmp_path):
    """One that is under way then has nothing to say any more: the takeback reads what the abort has written down."""
    machine = Machine(tmp_path / "root")
    host, late = machine.host, []
    with world(host):
        machine.attempt("deploy", "v1")
        attempt = Attempt(host, program="/agent")
        for name, args in machine.steps("deploy", "v2")[:-1]:
            STEPS[name](host, attempt, machine.say, **args)

        def ends(code):
            step = threading.Thread(target=attempt.note, kwargs={"promised": True}, daemon=True)
            step.start()
            step.join(0.2)
            late.append(step.is_alive())
            raise Killed
        with mock.patch("os._exit", side_effect=ends), pytest.raises(Killed):
            serve.abort(attempt, {"cause": "told to"})
        assert late == [True] and not releases.read_attempt(host)["promised"]


def test_a_rollback_goes_one_further_each_time(tmp_path):
    """v1, v2, v3 committed: back to v2, then to v1, then nowhere; deploying what is live changes neither."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        for tag in ("v1", "v2", "v3"):
            machine.attempt("deploy", tag)
        for tag, revert in (("v2", "v1"), ("v1", None)):
            machine.attempt("rollback", tag)
            assert releases.read_tag(machine.host.tag) == release(tag)
            assert releases.read_tag(machine.host.revert) == (release(revert) if revert else None)
        machine.attempt("deploy", "v3")
        machine.attempt("restart", "v3")
        assert [releases.read_tag(path)["tag"] for path in (machine.host.tag, machine.host.revert)] == ["v3", "v1"]


@pytest.mark.parametrize("broken", ["shop-mail-b", "beat"])
def test_a_rollback_does_not_wait_for_what_no_visitor_meets(tmp_path, broken):
    """A process that does not get ready is told of; it is of the release that was asked for, as all else, and none of
    the release that was left runs on."""
    machine = Machine(tmp_path / "root", OWN)
    with world(machine.host):
        for tag in ("v1", "v2"):
            machine.attempt("deploy", tag)
        machine.say, said = lambda event: said.append(event), []
        machine.host.broken.add(broken)
        machine.attempt("rollback", "v1")
        machine.at_rest()
    assert releases.read_tag(machine.host.tag) == release("v1")
    role = broken.removeprefix("shop-").removesuffix("-b")
    told = [event["text"] for event in said if event["event"] == "unhealthy"]
    assert len(told) == 1 and told[0].startswith(f"not healthy, and let pass: {role} "), said


def test_only_a_host_that_has_promised_commits_by_itself(tmp_path):
    """When it hears no more it goes forward, as the others may have; one that only prepared goes back."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        for until, tag in ((-2, "v1"), (-1, "v2")):
            machine.attempt("deploy", "v2", until=until)
            machine.at_rest()
            assert releases.read_tag(machine.host.tag) == release(tag)


@pytest.mark.parametrize("until, forward, found, tag", [
    (-2, None, "open", "v1"), (-1, None, "promised", "v2"), (-2, True, "settling", "v2"), (-1, False, "settling", "v1"),
    (-1, True, "settling", "v2"), (-2, False, "settling", "v1"), (3, True, "settling", "v1")])
def test_an_attempt_is_asked_of_and_decided_from_outside(tmp_path, until, forward, found, tag):
    """While its agent lives it is made to go either way, forward only when all is prepared."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host), subprocess.Popen(["sleep", "60"]) as agent:
        machine.attempt("deploy", "v1")
        host.agent, reaped = agent.pid, threading.Thread(target=agent.wait)
        attempt = Attempt(host, program="/agent", pid=agent.pid)
        for name, args in machine.steps("deploy", "v2")[:until]:
            STEPS[name](host, attempt, machine.say, **{**args, **({"id": "2"} if name == "begin" else {})})
        reaped.start()
        assert fate.decide(host, "2", forward) == {"fate": found}
        reaped.join(0 if forward is None else 10)
        assert reaped.is_alive() == (forward is None)
        agent.kill()
        host.agent = 0
        assert fate.decide(host, "2", True) == {"fate": "stuck"}
        machine.settle()
        machine.at_rest()
        assert fate.decide(host, "2", True) == {"fate": "committed" if tag == "v2" else "back"}
    assert releases.read_tag(host.tag) == release(tag)


def test_settings_go_with_their_release(tmp_path):
    """Staged settings come with the deploy that brings them, go with it when it fails, and a rollback brings the old
    ones back."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        disk.write(host.env + ".next", "SECRET_KEY=2\n", 0o600)
        machine.attempt("deploy", "bad")
        assert (disk.read(host.env), disk.read(host.env + ".next")) == ("SECRET_KEY=1\n", "SECRET_KEY=2\n")
        machine.attempt("deploy", "v2")
        assert (disk.read(host.env), disk.read(host.env + ".next")) == ("SECRET_KEY=2\n", None)
        assert disk.read(host.slot_file(slots.live(host), "env")) == "SECRET_KEY=2\n"
        machine.attempt("rollback", "v1")
        assert disk.read(host.env) == "SECRET_KEY=1\n"


OLD = "# of v1\nDATABASE_URL=old\nGONE=1\n"


@pytest.fixture
def rotating(tmp_path):
    """A host where v2, with FLAG, was deployed over v1; told: what `prepare` answered last."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    disk.write(host.env, OLD, 0o600)

    def attempt(action, tag, staged=None):
        if staged is not None:
            disk.write(host.next_env, staged, 0o600)
        with world(host), mock.patch.dict(STEPS, prepare=lambda *words: told.append(commit.prepare(*words))):
            machine.attempt(action, tag)
        return told[-1]
    told = []
    attempt("deploy", "v1")
    attempt("deploy", "v2", OLD + "FLAG=1\n")
    return SimpleNamespace(host=host, attempt=attempt, machine=machine)


def settings_files(host):
    """name → (text, mode) of all settings but those of slots."""
    folder = Path(host.env).parent
    return {path.name: (path.read_text(), oct(path.stat().st_mode & 0o777)) for path in folder.glob("shop.env*")}


def test_a_restart_s_settings_outlive_a_rollback(rotating):
    """They are about the world, as a new password is: each change is made in those of REVERT as well, by itself. So is
    one that was made in the file by hand. A second rollback finds them too."""
    host = rotating.host
    rotating.attempt("restart", "v2", "DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY\n")
    reverted = ("# of v1\nDATABASE_URL=new\nKEY_FILE=/run/secrets/KEY\n", "0o600")
    assert settings_files(host) == {"shop.env": ("DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY\n", "0o600"),
                                    "shop.env.revert": reverted}
    disk.write(host.env, "DATABASE_URL=new\nFLAG=1\nKEY=by hand\n", 0o600)
    rotating.attempt("restart", "v2")
    rotating.attempt("rollback", "v1")
    assert disk.read(host.env) == "# of v1\nDATABASE_URL=new\nKEY=by hand\n"


def test_what_a_rollback_takes_away_is_kept(rotating):
    """Settings of the release that it leaves are told by name, and lie in a file of their own, each time in another;
    what is staged stays so, without them. No deploy takes it, no prune its secrets."""
    host, folder = rotating.host, Path(rotating.host.secrets)
    folder.mkdir()
    (folder / "KEY.1").write_text("secret")
    rotating.attempt("deploy", "v3", "DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY.1\n")
    disk.write(host.next_env, "DATABASE_URL=new\nFLAG=2\nKEY_FILE=/run/secrets/KEY.1\nMAIL=1\n", 0o600)
    told = rotating.attempt("rollback", "v2")
    assert told == {"changed": ["DATABASE_URL", "GONE", "KEY_FILE"], "kept": "v3"}
    kept = ("DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY.1\n", "0o600")
    assert settings_files(host) == {"shop.env": (OLD + "FLAG=1\n", "0o600"), "shop.env.v3.kept": kept,
                                    "shop.env.next": (OLD + "FLAG=2\nMAIL=1\n", "0o600")}
    assert rotating.attempt("rollback", "v1") == {}, "the settings of v1 are not known: those of v2 stay"
    rotating.attempt("deploy", "v3")
    assert disk.read(host.env) == OLD + "FLAG=2\nMAIL=1\n"
    assert rotating.attempt("rollback", "v1")["kept"] == "v3.2"
    assert settings_files(host)["shop.env.v3.kept"] == kept
    assert settings_files(host)["shop.env.v3.2.kept"] == (OLD + "FLAG=2\nMAIL=1\n", "0o600")
    with world(host):
        assert STEPS["prune"](host, None, print, image="shop") == {"removed": []}


@pytest.mark.parametrize("text", ["DATABASE_URL='quoted'\n", b"DATABASE_URL=\xff\n"])
def test_malformed_settings_are_moved_and_never_rewritten(rotating, text):
    """Those of REVERT, and those that a rollback replaces."""
    host = rotating.host
    text = text if isinstance(text, bytes) else text.encode()
    Path(host.revert_env).write_bytes(text)
    rotating.attempt("restart", "v2", OLD + "FLAG=2\n")
    assert Path(host.revert_env).read_bytes() == text
    rotating.attempt("rollback", "v1")
    assert Path(host.env).read_bytes() == text and disk.read(host.env + ".v2.kept") == OLD + "FLAG=2\n"


@pytest.mark.parametrize("action, tag, source, new", [
    ("restart", "v2", ".next", "FLAG=typed\nMORE=typed too\n"), ("rollback", "v1", ".revert", "A=1\n")])
def test_settings_survive_whatever_is_cut_off(tmp_path, action, tag, source, new):
    """Whenever the agent dies as it commits, or the power is cut: APP.env is there, each value that was typed is in a
    file, and once settled nothing lies beside its place."""
    for fuse in range(30):
        host = Simulated(tmp_path / str(fuse))
        for path, text in {host.tag: releases.tag_text(release("v2")), host.revert: releases.tag_text(release("v1")),
                           host.env: "FLAG=typed\n", host.revert_env: "A=1\n",
                           host.next_env: "FLAG=typed\nMORE=typed too\n"}.items():
            disk.write(path, text, 0o600)
        slots.pin(host, "a", release("v2"), "FLAG=typed\n")
        slots.pin(host, "b", release(tag), new)
        attempt = Attempt(host, **release(tag), id="1", action=action, live="a", slot="b", began=0.0, keep_warm=600,
                          program="/agent", settings_from=host.env + source)
        attempt.note()
        with world(host):
            host.fuse = fuse
            with contextlib.suppress(Killed):
                for step in (commit.prepare, commit.promise, commit.commit):
                    step(host, attempt, lambda event: None)
            host.fuse = FOREVER
            if fuse % 2:
                takeback.settle(host, lambda event: None)
                assert not [name for name in settings_files(host) if name.endswith((".next.next", ".kept.next"))]
            else:
                host.reboot()
        texts = "".join(text for text, _ in settings_files(host).values())
        assert disk.read(host.env) and "FLAG=typed\n" in texts and "MORE=typed too\n" in texts, fuse


@pytest.mark.parametrize("values, promised", [({}, False), ({"renames": []}, False), ({"renames": [["a", "b"]]}, True)])
def test_nothing_is_promised_that_is_not_prepared(tmp_path, values, promised):
    host = Machine(tmp_path / "root").host
    attempt = Attempt(host, tag="v2", live="a", slot="b", **values)
    with contextlib.nullcontext() if promised else pytest.raises(Problem, match="nothing is prepared"):
        commit.promise(host, attempt, print)
    assert bool((releases.read_attempt(host) or {}).get("promised")) is promised


@pytest.mark.parametrize("action, cut, recorded", [
    ("restart", False, 2), ("deploy", False, 2), ("deploy", True, 3)])
def test_a_commit_is_recorded_where_the_power_was_cut(tmp_path, action, cut, recorded):
    """After TAG had its place, and before the log had. A restart leaves TAG as it was: it may not have come to that."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        machine.attempt("deploy", "v2")
        attempt = Attempt(host, program="/agent")
        for name, args in machine.steps(action, "v2" if action == "restart" else "v3")[:-2]:
            STEPS[name](host, attempt, machine.say, **args)
        if cut:
            os.rename(host.tag + ".next", host.tag)
        host.reboot()
        commit.note_commit(host)
    assert len(releases.read_log(host)[0]) == recorded


def test_a_host_is_whole_without_the_record_of_a_failure(tmp_path):
    """A takeback that cannot write to releases.log, as on a full disk, has taken the host back all the same."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        (tmp_path / f"root/var/www/{machine.host.app}/releases.log.new").mkdir()
        said, machine.say = [], lambda event: said.append(event)
        machine.attempt("deploy", "v2", until=-2)
        (tmp_path / f"root/var/www/{machine.host.app}/releases.log.new").rmdir()
        machine.at_rest()
    assert releases.read_tag(machine.host.tag) == release("v1")
    assert [event["step"] for event in said if event.get("state") == "failed"] == ["note_failure"]


def test_what_somebody_runs_by_hand_is_left_alone(tmp_path):
    """A migration that was started by hand keeps a deploy from its own: taken back, and that one runs on."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        machine.host.one_offs["shop-migrate"] = ""
        machine.attempt("deploy", "v2")
        machine.at_rest()
    assert machine.host.one_offs == {"shop-migrate": ""} and releases.read_tag(machine.host.tag) == release("v1")


@pytest.mark.parametrize("said, told", [
    ("collectstatic: s3://shop/static: NoSuchBucket", "collectstatic: s3://shop/static: NoSuchBucket"),
    ("settings: SECRET_KEY is not set", "collectstatic s3://shop/static failed: exit 1")])
def test_an_upload_that_fails_is_taken_back(tmp_path, said, told):
    """Once it is known the deploy goes no further, and no visitor has seen the release; the image's line is told."""
    machine, asked = Machine(tmp_path / "root"), []

    def fails(name, extra):
        asked.append(name)
        return (1, said) if name == "shop-collectstatic" else (0, "")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        machine.host.docker_runner = fails
        attempt = Attempt(machine.host, program="/agent")
        with pytest.raises(Problem, match=f"^{told}$"):
            for name, args in machine.steps("deploy", "v2"):
                STEPS[name](machine.host, attempt, machine.say, **args)
        machine.settle()
        machine.at_rest()
    assert asked == ["shop-collectstatic"] and releases.read_tag(machine.host.tag) == release("v1")


def test_a_host_is_whole_though_its_engine_is_away(tmp_path, monkeypatch):
    """Where no one-off was started there is none to remove, so nobody has to ask: no attempt is left."""
    machine = Machine(tmp_path / "root")

    def silent(*words, **options):
        raise Problem("docker does not answer")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        attempt = Attempt(machine.host, program="/agent")
        for name, args in machine.steps("deploy", "v2")[:3]:
            STEPS[name](machine.host, attempt, machine.say, **args)
        monkeypatch.setattr(machine.host, "docker", silent)
        machine.settle()
        monkeypatch.undo()
        machine.at_rest()
    assert releases.read_tag(machine.host.tag) == release("v1")


@pytest.mark.parametrize("labels, told", [
    ({}, ["shop-migrate", "shop-manage-migrate"]), ({"docker-runner.attempt": "1"}, [])])
def test_what_runs_by_hand_is_told(tmp_path, monkeypatch, labels, told):
    """A migration that runs, and since when; not what an attempt has started, nor another app's."""
    host = Simulated(tmp_path / "root")
    names = ("/shop-migrate", "/shop-manage-migrate", "/a-shop-migrate")
    up = [{"Names": [name], "Created": 1_800_000_000, "Labels": labels} for name in names]
    monkeypatch.setattr(http, "ask", lambda *words, **options: (200, json.dumps(up)))
    found = facts.one_offs(host)
    assert list(found) == told and all(since.startswith("2027-01-1") for since in found.values())


def test_beat_is_asked_how_it_does(tmp_path):
    """A beat whose own healthcheck fails is not taken for well: the deploy fails, and the old one runs again."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        machine.host.broken.add("healthcheck")
        machine.attempt("deploy", "v2")
        machine.at_rest()
    assert releases.read_tag(machine.host.tag) == release("v1")


def test_processes_of_a_team_are_asked_how_they_do(tmp_path):
    """One that runs alone and one that overlaps, whose way to be ready fails: the old ones run on, or again."""
    for name in ("shop-alerts", "shop-mail-a"):
        machine = Machine(tmp_path / name, (OWN[1], Process("alerts", "manage sendalerts", False, "file")))
        with world(machine.host):
            machine.attempt("deploy", "v1")
            before = state(machine.host)
            machine.host.broken.add(name)
            machine.attempt("deploy", "v2")
            machine.at_rest()
        assert state(machine.host) == before and len(before[2]) == 5


def test_a_warm_rollback_that_is_taken_back(tmp_path):
    """What had started in the slot that stays warm, though it does not stay there, ends again."""
    machine = Machine(tmp_path / "root", OWN)
    host = machine.host
    with world(host):
        for tag in ("v1", "v2"):
            machine.attempt("deploy", tag)
        before = state(host)
        assert "shop-mail@b.service" not in host.up
        machine.attempt("rollback", "v1", until=-3)
        machine.at_rest()
    assert state(host) == before


def test_one_that_does_not_come_back_keeps_no_other_from_it(tmp_path, monkeypatch):
    """Each is brought back that can be."""
    machine = Machine(tmp_path / "root", OWN)
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        attempt, start = Attempt(host, program="/agent"), host.start
        for name, args in machine.steps("deploy", "v2")[:-3]:
            STEPS[name](host, attempt, machine.say, **args)

        def broken(unit):
            if "beat" in unit:
                raise Problem("beat does not start")
            start(unit)
        monkeypatch.setattr(host, "start", broken)
        machine.settle()
        assert {unit: host.up.get(unit, ("",))[0] for unit in ("shop-alerts.service", "shop-mail@b.service")} == {
            "shop-alerts.service": "v1", "shop-mail@b.service": "v1"}
        monkeypatch.setattr(host, "start", start)
        machine.settle()
        machine.at_rest()


@pytest.mark.parametrize("noted", [{}, {"allow_incompatible": True}])
def test_a_risk_that_was_taken_is_recorded(noted):
    """Beside what became of the release."""
    record = commit.record({"action": "rollback", "tag": "v1", "began": 0.0, **noted}, "committed")
    assert {key: value for key, value in record.items() if key == "allow_incompatible"} == noted


def test_a_record_of_what_was_taken_back(tmp_path):
    """From the first start on, on a host that had nothing to start too; none of a deploy that changed nothing."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        machine.attempt("deploy", "v2", until=2)
        attempt = Attempt(machine.host, program="/agent")
        for name, args in [*machine.steps("deploy", "v3")[:2], ("start", {"roles": []})]:
            STEPS[name](machine.host, attempt, machine.say, **args)
        machine.settle()
    records = [(record["tag"], record["outcome"]) for record in releases.read_log(machine.host)[0]]
    assert records == [("v1", "committed"), ("v3", "taken back")]


@pytest.mark.parametrize("steps", [-4, -1], ids=["before prepare", "after prepare"])
def test_a_host_whose_disk_becomes_read_only(tmp_path, steps):
    """Taken back, it is whole on its old release: nothing of the attempt is left but files beside their place."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        attempt = Attempt(machine.host, program="/agent")
        for name, args in machine.steps("deploy", "v2")[:steps]:
            STEPS[name](machine.host, attempt, machine.say, **args)
        attempt.note(promised=False)
        with read_only(machine.host.var):
            machine.settle()
            assert disk.read(machine.host.attempt) is None
        commit.drop_prepared(machine.host)
        machine.at_rest()
    assert releases.read_tag(machine.host.tag) == release("v1")


@contextlib.contextmanager
def read_only(folder):
    """A folder's file system takes no changes; as in Linux, not even the removal of what is not there."""
    def refusing(function):
        def call(path, flags=os.O_WRONLY, *rest):
            if str(path).startswith(folder) and flags & os.O_WRONLY:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return function(path, flags, *rest) if function is opened else function(path)
        return call
    opened = os.open
    with mock.patch.object(os, "unlink", refusing(os.unlink)), mock.patch.object(os, "open", refusing(opened)):
        yield


def test_a_beat_that_nothing_was_written_down_of(tmp_path):
    """Where neither TAG nor the beat's own file named its release it starts again, and the takeback goes on."""
    host = Machine(tmp_path / "root").host
    host.start = lambda unit: host.up.update({unit: ("v0", "sha256:v0")})
    with world(host):
        replace.back(host, "beat", {"release": None, "settings": "SECRET_KEY=1\n"})
    assert host.up == {"shop-beat.service": ("v0", "sha256:v0")} and slots.release_in(host, "beat") is None


def test_a_rollback_finds_the_old_slot_warm(tmp_path):
    """The slot that was left runs on, and the rollback takes it as it is."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        for tag in ("v1", "v2"):
            machine.attempt("deploy", tag)
        attempt = Attempt(machine.host, program="/agent")
        name, args = machine.steps("rollback", "v1")[0]
        assert STEPS[name](machine.host, attempt, machine.say, **args) == {"warm": True}


def test_secret_files_go_when_no_settings_name_them(tmp_path):
    """What is live, staged, or would come back with a rollback keeps its files; those before them are removed."""
    machine = Machine(tmp_path / "root")
    host, folder = machine.host, tmp_path / "root/etc/default/shop.secrets"
    folder.mkdir()
    with world(host):
        for number in range(4):
            (folder / f"KEY.{number}").write_text("secret")
            disk.write(host.env + ".next", f"KEY_FILE=/run/secrets/KEY.{number}\n", 0o600)
            if number < 3:
                machine.attempt("deploy", f"v{number + 1}")
        assert STEPS["prune"](host, None, machine.say, image="shop") == {"removed": ["KEY.0"]}
    assert sorted(path.name for path in folder.iterdir()) == ["KEY.1", "KEY.2", "KEY.3"]


def test_retirement_leaves_alone_what_is_not_its_own(tmp_path):
    """Neither the live slot nor one with another release than it was set for is stopped."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        for tag in ("v1", "v2"):
            machine.attempt("deploy", tag)
        live = slots.live(host)
        old = slots.other(live)
        slots.retire(host, live, "v2", "sha256:v2")
        slots.retire(host, old, "v0", "sha256:v0")
        assert len(host.up) == 5
        slots.retire(host, old, "v1", "sha256:v1")
        assert len(host.up) == 3 and slots.release_in(host, old) is None


def test_what_a_container_leaves_in_its_folder_stops_nothing(tmp_path):
    """Folders where web.sock and worker.pause go, in the live slot's folder or the idle one's: a deploy that fails is
    taken back, the next one goes out. So it does where there is no room for worker.pause."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        for slot in "ab":
            for name in ("web.sock", "worker.pause"):
                os.makedirs(host.slot(slot, name) + "/x")
        machine.attempt("deploy", "bad")
        machine.at_rest()
        assert releases.read_tag(host.tag) == release("v1")
        with mock.patch.object(disk, "touch", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            machine.attempt("deploy", "v2")
        machine.at_rest()
        assert releases.read_tag(host.tag) == release("v2")


@pytest.mark.parametrize("lost", ["beat", "mail"])
def test_what_could_not_be_brought_back_is_not_forgotten(tmp_path, monkeypatch, lost):
    """It is away when the next deploy begins, which fails too: then it comes back."""
    machine = Machine(tmp_path / "root", OWN)
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        before, start = state(host), host.start
        attempt = Attempt(host, program="/agent")
        for name, args in machine.steps("deploy", "v2")[:-3]:
            STEPS[name](host, attempt, machine.say, **args)

        def broken(unit):
            if lost in unit:
                raise Problem("it does not start")
            start(unit)
        monkeypatch.setattr(host, "start", broken)
        machine.settle()
        assert releases.read_attempt(host)
        name, args = machine.steps("deploy", "v3")[0]
        STEPS[name](host, Attempt(host, program="/agent"), machine.say, **args)
        monkeypatch.setattr(host, "start", start)
        machine.settle()
        machine.at_rest()
        assert state(host) == before
        machine.attempt("deploy", "v3")
        machine.at_rest()


def test_no_deploy_begins_where_visitors_do_not_come_back(tmp_path, monkeypatch):
    """It would take the slot they are in for the good one, and empty the other."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host):
        machine.attempt("deploy", "v1")
        with monkeypatch.context() as broken:
            broken.setattr(slots, "flip_back", mock.Mock(side_effect=Problem("no")))
            machine.attempt("deploy", "v2", until=-3)
            name, args = machine.steps("deploy", "v3")[0]
            with pytest.raises(Problem, match="visitors do not come back to slot b"):
                STEPS[name](host, Attempt(host, program="/agent"), machine.say, **args)
        machine.settle()
        machine.at_rest()
    assert releases.read_tag(host.tag) == release("v1")


def test_an_agent_ends_with_its_commit_though_nobody_listens(tmp_path, monkeypatch):
    """The connection breaks while it commits: the lock is held no longer than that takes."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    disk.write(host.attempt, json.dumps({"version": 1, "tag": "v2", "live": "a", "slot": "b", "promised": True}))
    monkeypatch.setattr(serve, "Host", lambda app: host)
    monkeypatch.setattr(serve, "lines", lambda: [])
    monkeypatch.setattr("signal.pause", lambda: pytest.fail("it waits for the watchdog"))
    monkeypatch.setattr("time.sleep", lambda seconds: disk.remove(host.attempt))
    with mock.patch("os._exit", side_effect=Killed), pytest.raises(Killed):
        serve.work("shop", "/agent")
    assert not os.path.exists(host.attempt)


def test_a_host_whose_visitors_went_back_is_not_made_to_go_forward(tmp_path):
    """Though others have committed: it would have no visitors."""
    machine = Machine(tmp_path / "root")
    host = machine.host
    with world(host), mock.patch.object(fate, "kill"):
        machine.attempt("deploy", "v1")
        attempt, host.agent = Attempt(host, program="/agent", pid=7), 7
        for name, args in machine.steps("deploy", "v2")[:-2]:
            STEPS[name](host, attempt, machine.say, **{**args, **({"id": "2"} if name == "begin" else {})})
        slots.flip_back(host, attempt.noted["live"])
        assert fate.decide(host, "2", True) == {"fate": "settling"}
        host.agent = 0
        machine.settle()
        machine.at_rest()
        assert fate.decide(host, "2", True) == {"fate": "back"}
    assert releases.read_tag(host.tag) == release("v1")
