"""Settings belong to a release: staged, live, for a rollback, or kept. No value that somebody typed is lost."""

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from deployer.machine import GIVEN, Machine, release
from deployer.simulated import FOREVER, Killed, Simulated, world
from proc import put
from slipway.deploy.agent import disk, releases, slots, staging, takeback
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.steps import commit
from slipway.deploy.agent.steps.table import STEPS

OLD = "# of v1\nDATABASE_URL=old\nGONE=1\n"


def test_settings_keep_every_byte(machine):
    host, odd = machine.host, b"KEY=\xff\xed\xa0\x80\r\n# \x85\x0b\rA=1"
    os.chmod(host.env, 0o600)
    Path(host.env).write_bytes(odd)
    machine.attempt("restart", "v1")
    disk.write(host.next_env, "KEY=2\n", 0o600)
    for tag, until in (("v2", -2), ("bad", 99)):  # both attempts are taken back
        machine.attempt("deploy", tag, until=until)
        assert [Path(path).read_bytes() for path in (host.env, host.next_env)] == [odd, b"KEY=2\n"]
        for slot in (slots.live(host), "beat"):
            assert Path(host.slot_file(slot, "env")).read_bytes() == odd
    machine.attempt("deploy", "v2")
    assert disk.read(host.slot_file(slots.live(host), "env")) == disk.read(host.env) == "KEY=2\n"
    assert disk.read(host.next_env) is None
    paths = [host.env, host.revert_env, *(host.slot_file(slot, "env") for slot in ("a", "b", "beat"))]
    assert {path: oct(os.stat(path).st_mode & 0o7777) for path in paths} == dict.fromkeys(paths, "0o600")
    machine.attempt("rollback", "v1")
    assert Path(host.env).read_bytes() == odd


@pytest.fixture
def rotating(tmp_path):
    """A host where v2, with the setting FLAG, replaced v1. attempt(…) returns the last answer of `prepare`."""
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
    return SimpleNamespace(host=host, attempt=attempt)


def settings_files(host):
    """Return name → text of all settings files except those of slots; check that only their owner can read them."""
    paths = [*Path(host.env).parent.glob("shop.env*")]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    return {path.name: path.read_text() for path in paths}


def test_a_record_tells_what_changed(rotating):
    records = releases.read_log(rotating.host)[0]
    assert [(record["revision"], record.get("settings")) for record in records] == [
        (b"digest:v1".hex(), None),
        (b"digest:v2".hex(), "FLAG"),
    ]
    rotating.attempt("restart", "v2", "DATABASE_URL=new\nKEY_FILE=/run/secrets/KEY\n")
    assert releases.read_log(rotating.host)[0][-1]["settings"] == "DATABASE_URL, FLAG, GONE, KEY_FILE"
    disk.remove(*(rotating.host.slot_file(slot, "env") for slot in "ab"))  # as a boot does
    rotating.attempt("deploy", "v3", "DATABASE_URL=newer\nKEY_FILE=/run/secrets/KEY\n")
    assert releases.read_log(rotating.host)[0][-1]["settings"] == "DATABASE_URL"


def test_a_restart_s_settings_outlive_a_rollback(rotating):
    host, new = rotating.host, "DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY\n"
    rotating.attempt("restart", "v2", new)
    assert settings_files(host) == {
        "shop.env": new,
        "shop.env.revert": "# of v1\nDATABASE_URL=new\nKEY_FILE=/run/secrets/KEY\n",
    }
    disk.write(host.env, "DATABASE_URL=new\nFLAG=1\nKEY=by hand\n", 0o600)
    rotating.attempt("restart", "v2")
    rotating.attempt("rollback", "v1")
    assert disk.read(host.env) == "# of v1\nDATABASE_URL=new\nKEY=by hand\n"


def test_what_a_rollback_takes_away_is_kept(rotating):
    host, kept = rotating.host, "DATABASE_URL=new\nFLAG=1\nKEY_FILE=/run/secrets/KEY.1\n"
    put(f"{host.secrets}/KEY.1", "secret")
    rotating.attempt("deploy", "v3", kept)
    disk.write(host.next_env, "DATABASE_URL=new\nFLAG=2\nKEY_FILE=/run/secrets/KEY.1\nMAIL=1\n", 0o600)
    told = rotating.attempt("rollback", "v2")
    assert told == {"changed": ["DATABASE_URL", "GONE", "KEY_FILE"], "kept": "v3"}
    assert settings_files(host) == {
        "shop.env": OLD + "FLAG=1\n",
        "shop.env.v3.kept": kept,
        "shop.env.next": OLD + "FLAG=2\nMAIL=1\n",
    }
    assert rotating.attempt("rollback", "v1") == {"changed": [], "kept": ""}, "v1's settings are unknown: v2's stay"
    rotating.attempt("deploy", "v3")
    assert disk.read(host.env) == OLD + "FLAG=2\nMAIL=1\n"
    assert rotating.attempt("rollback", "v1")["kept"] == "v3.2"
    found = settings_files(host)
    assert (found["shop.env.v3.kept"], found["shop.env.v3.2.kept"]) == (kept, OLD + "FLAG=2\nMAIL=1\n")
    staging.drop_secrets(host)
    assert os.listdir(host.secrets) == ["KEY.1"]


@pytest.mark.parametrize("text", [b"DATABASE_URL='quoted'\n", b"DATABASE_URL=\xff\n"])
def test_malformed_settings_are_moved_and_never_rewritten(rotating, text):
    host = rotating.host
    Path(host.revert_env).write_bytes(text)
    rotating.attempt("restart", "v2", OLD + "FLAG=2\n")
    assert Path(host.revert_env).read_bytes() == text
    rotating.attempt("rollback", "v1")
    assert Path(host.env).read_bytes() == text and disk.read(host.env + ".v2.kept") == OLD + "FLAG=2\n"


@pytest.mark.parametrize(
    "action, tag, source, new",
    [("restart", "v2", ".next", "FLAG=typed\nMORE=typed too\n"), ("rollback", "v1", ".revert", "A=1\n")],
)
def test_settings_survive_whatever_is_cut_off(tmp_path, action, tag, source, new):
    for fuse in range(30):
        host = Simulated(tmp_path / str(fuse))
        for path, text in {
            host.tag: releases.tag_text(release("v2")),
            host.revert: releases.tag_text(release("v1")),
            host.env: "FLAG=typed\n",
            host.revert_env: "A=1\n",
            host.next_env: "FLAG=typed\nMORE=typed too\n",
        }.items():
            disk.write(path, text, 0o600)
        slots.pin(host, "a", release("v2"), "FLAG=typed\n")
        slots.pin(host, "b", release(tag), new)
        attempt = Attempt(
            host,
            **release(tag),
            id="1",
            action=action,
            live="a",
            slot="b",
            started=0.0,
            settings_from=host.env + source,
            **GIVEN,
        )
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
        texts = "".join(settings_files(host).values())
        assert disk.read(host.env) and "FLAG=typed\n" in texts and "MORE=typed too\n" in texts, fuse
