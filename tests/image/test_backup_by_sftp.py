"""Backups of a real Postgres at an sftp server."""

import tempfile

import pytest

from engine import docker
from image import backup_server
from image.backup_server import Server
from proc import run, wait_until
from slipway.deploy.backup import place, sftp
from slipway.deploy.backup.sftp import Account

pytestmark = [pytest.mark.needs("docker"), pytest.mark.needs("restic")]
NAS = """
apt-get -qq update && apt-get install -y -qq --no-install-recommends openssh-server >/dev/null
useradd -m keeper && mkdir -p /run/sshd ~keeper/.ssh && echo "$KEY" >~keeper/.ssh/authorized_keys
chown -R keeper ~keeper && chmod 700 ~keeper/.ssh && exec /usr/sbin/sshd -D
"""


@pytest.fixture
def nas(tmp_path):
    """The account of an sftp server that allows few open files. Root knows one of its three keys."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    options = ["--detach", "--ulimit=nofile=200:200", "-e", f"KEY={(tmp_path / 'key.pub').read_text()}"]
    id = docker("run", *options, "--entrypoint=sh", "debian:bookworm-slim", "-euc", NAS).stdout
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", id).stdout
    known = tmp_path / "known_hosts"
    try:
        scan = ["ssh-keyscan", "-t", "ed25519", address]
        wait_until(lambda: known.write_text(run(scan).stdout) and "ed25519" in known.read_text(), 120, "sshd answers")
        yield Account(address, "22", "keeper", str(tmp_path / "key"), (str(known),))
    finally:
        docker("rm", "-f", id)


def test_a_place_that_sftp_reaches(monkeypatch, nas):
    """With what root's ssh knows of it. A restore goes on where the server allows no more open files."""
    monkeypatch.setattr(sftp, "account", lambda settings: nas)
    made = Server(
        tempfile.mkdtemp(prefix="bk-", dir="/tmp"), monkeypatch, backup_server.build(), f"sftp:keeper@{nas.host}:shop"
    )
    monkeypatch.setattr(place, "of_files", lambda to: f"{made.root}/files")  # restic's ssh is root's own
    try:
        made.begin()
        made.add(1)
        assert made.beside("latest")["rows"] == 1
        made.swap()
        assert made.rows() == [1]
    finally:
        made.clean()
