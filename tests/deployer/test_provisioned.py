"""The answer of a host about the files that provisioning has written there."""

import grp
import os
import pwd
import re

import pytest

from deployer.test_drift import UNKNOWN_CONTENT
from slipway.deploy.agent import provisioned
from slipway.deploy.agent.host import Host


def test_what_a_host_tells_of_a_file(tmp_path):
    """Mode, owner and hash; of a file with a secret no hash, nor of a folder, or a pipe, for which it would wait for
    ever."""
    host = Host("shop", str(tmp_path))
    paths = ["/etc/default/shop", "/etc/default/shop.env", "/etc/default/shop.backup.json", "/etc/default/shop-redis"]
    paths.append("/etc/default/shop-postgres")
    (tmp_path / paths[-1][1:]).mkdir(parents=True, mode=0o700)
    for path in paths[:2]:
        (tmp_path / path[1:]).write_text("IMAGE=x\n")
        (tmp_path / path[1:]).chmod(0o640)
    os.mkfifo(tmp_path / paths[2][1:], 0o600)
    status = os.stat(tmp_path)
    owner = f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    hashed = f"640 {owner} {provisioned.digest_of(b'IMAGE=x' + os.linesep.encode())}"
    assert [*provisioned.states(host, paths).values()] == [hashed, f"640 {owner}", f"600 {owner}", "", f"700 {owner}"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/default/shop.env",
        "/etc/default/shop-postgres.env",
        "/etc/default/shop-redis.d/redis.conf",
        "/etc/default/shop-postgres.d/tls.key",
        "/etc/default/shop-postgres.key",
        "/etc/default/shop.backup",
        "/etc/default/shop.services",
        "/etc/default/shop.secrets/KEY",
        "/etc/default/blog",
        "/etc/nginx/blog/app.conf",
        "/usr/local/lib/docker-backup/../../../etc/shadow.py",
        "/etc/systemd/system/docker-backup-base@blog.timer",
        "/var/lib/blog-deploy/.ssh/authorized_keys",
    ],
)
def test_no_other_file_s_hash_is_told(path):
    assert not provisioned.is_hashed("shop", path)
    assert provisioned.is_provisioned("shop", path) == any(re.fullmatch(each, path) for each in UNKNOWN_CONTENT)


@pytest.mark.parametrize(("name", "told"), [("ann", "ann"), ("domain users", "7"), ("a:b", "7"), (None, "7")])
def test_whose_file_it_is(name, told):
    """By a number if there is no name that fits a word."""
    names = {7: (name, "x", 7)} if name else {}
    assert provisioned.name(names.__getitem__, 7) == told
