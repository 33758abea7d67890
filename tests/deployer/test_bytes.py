"""What a deploy writes again is what it has read, byte for byte."""

from pathlib import Path

from slipway.deploy.agent import disk, slots
from deployer.simulated import world
from deployer.test_agent import Machine


def test_settings_keep_every_byte(tmp_path):
    """Whatever bytes the settings hold, a slot, beat, a rollback and a takeback have the same ones."""
    machine = Machine(tmp_path / "root")
    host, odd = machine.host, b"KEY=\xff\xed\xa0\x80\r\n# \x85\x0b\rA=1"
    with world(host):
        Path(host.env).write_bytes(odd)
        machine.attempt("deploy", "v1")
        disk.write(host.env + ".next", "KEY=2\n", 0o600)
        machine.attempt("deploy", "v2", until=-2)  # taken back with all that was done
        for slot in (slots.live(host), "beat"):
            assert Path(host.slot_file(slot, "env")).read_bytes() == odd
        machine.attempt("deploy", "v2")
        assert Path(host.env).read_bytes() == b"KEY=2\n"
        machine.attempt("rollback", "v1")
    assert Path(host.env).read_bytes() == odd


def test_a_damaged_log_is_added_to_as_it_is(tmp_path):
    """What a record follows in releases.log stays byte for byte, text or not."""
    machine = Machine(tmp_path / "root")
    with world(machine.host):
        machine.attempt("deploy", "v1")
        damaged = Path(machine.host.log).read_bytes() + b"\xff torn\n"
        Path(machine.host.log).write_bytes(damaged)
        machine.attempt("deploy", "v2")
    assert Path(machine.host.log).read_bytes().startswith(damaged)
