"""A release that means harm: it owns its slot's folder, and does there what it can, to a neighbour and to the host."""

import pytest

from e2e import byhand, checker
from e2e.fleet import apps
from e2e.rollouts import Shop

pytestmark = pytest.mark.extra


@pytest.fixture
def shop(fleet, tmp_path):
    """The app on one host, with v1 live, and another app beside it."""
    fleet.reset("web1")
    shop = Shop(fleet, tmp_path)
    shop.hosts = {"web1": {"roles": ["web", "worker", "beat"]}}
    shop.provision()
    image = fleet.registry.push(apps.echo("blog-1"), "blog:blog-1")
    host = byhand.install(fleet, "web1", "blog", image.rpartition(":")[0])
    byhand.release(host, "blog", image)
    host.run("systemctl start blog.target")
    shop.bring("v1")
    byhand.until_it_answers(host, "blog", "blog-1")
    return shop


def used(host):
    """Files and kilobytes in the host's own /run."""
    return [int(number) for number in host.run("df --output=iused,used /run | tail -n 1").split()]


def test_a_hostile_release_harms_nobody_else(shop):
    """It has nginx ask a neighbour by a link in its socket's place, fills its folder, and leaves a folder where the
    next socket goes: nobody gets the neighbour's answer, it is taken back, the next release goes out as ever."""
    host = shop.fleet.hosts["web1"]
    before = used(host)
    with shop.load(rate=40) as load:
        outcome = shop.roll("deploy", shop.image("hostile", "hostile"))
        assert outcome.code == 1 and "taken back: the old release serves everywhere" in outcome.stderr, outcome.stderr
        slot = "/run/shop/" + {"a": "b", "b": "a"}[host.run("readlink /run/shop/web.sock")[0]]
        left = host.run(f"ls -U {slot} | head -n 1000 | wc -l; stat -c %F {slot}/web.sock").splitlines()
        assert int(left[0]) > 100 and left[1] == "directory", f"{left}: {outcome.stderr}"
        grown = [now - then for now, then in zip(used(host), before)]
        assert grown[0] < 100 and grown[1] < 1000, grown
        outcome = shop.roll("deploy", shop.image("v2"), "--no-bake")
        assert outcome.code == 0, outcome.stderr
        result = load.stop()
    checker.check(shop)
    seen = set(result.releases)
    assert seen == {"v1", "hostile", "v2"}, result.summary()
    assert set(result.causes) <= {"http 502", "http 503"}, result.summary()
    assert not [record for record in result.failures if record.release not in ("", None, "hostile")], result.summary()
    assert "blog-1" in byhand.answers(host, "blog")[1]
    mounts = host.run("findmnt -n -o TARGET,OPTIONS -t tmpfs | grep /run/shop/").splitlines()
    assert len(mounts) == 2 and all("nosymfollow" in line and "nosuid" in line for line in mounts), mounts
