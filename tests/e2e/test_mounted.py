"""Tests of the project's own image with the page of examples/companions/mounted, set up as in its README: another
server's files, by sshfs, in a site's containers. The mount dies under visitors."""

import shutil

import pytest

from documented import block
from e2e.byhand import answers
from e2e.fleet.apps import APPS
from e2e.fleet.load import Load
from e2e.orders import Orders
from proc import ROOT, wait_until

pytestmark = pytest.mark.extra
COMPANION = ROOT / "examples/companions/mounted"
KEY = "/etc/mounted/archive.key"
GONE, SEEN = "cannot be reached just now", "curl -s -H 'Host: orders.example' http://localhost/files/"
BLOCKS = ("apt-get ", "for unit ")  # the first words of the README's commands


class Archive(Orders):
    """The app on one server, web1, with the files of web2."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings["media"] = "local"
        self.host, self.files = fleet.hosts["web1"], fleet.hosts["web2"]
        self.hosts = {"web1": {"roles": ["web"], "opts": "-v /srv/mounted:/mounted:rslave"}}
        self.context = folder / "mounted"
        shutil.copytree(APPS / "mounted", self.context)
        shutil.copytree(COMPANION / "mounted", self.context / "mounted", ignore=shutil.ignore_patterns("__pycache__"))

    def mount(self):
        """Mount the files by the README's commands; the other server gets the key as described there."""
        self.files.run(
            "mkdir -p /srv/archive && cd /srv/archive && head -c 1000000 /dev/urandom >film.mkv"
            " && cp film.mkv \"$(printf '\\377 %%41')\""
            " && useradd --create-home files && install -d -o files -m 700 ~files/.ssh"
        )
        before, after = (block(COMPANION / "README.md", first) for first in BLOCKS)
        address = self.files.address
        for name in ("mounted", "mounted@.service", "srv-mounted.mount"):
            self.host.write(f"/root/host/{name}", (COMPANION / "host" / name).read_text())
        self.host.run("sh -s", input="set -e; cd /root/host\n" + before.replace("files.example", address), timeout=120)
        given = 'restrict,command="internal-sftp -R" ' + self.host.run(f"cat {KEY}.pub")
        assert given[:40] in (COMPANION / "README.md").read_text()
        self.files.run("cat >~files/.ssh/authorized_keys && chown files ~files/.ssh/authorized_keys", input=given)
        self.host.run("sh -s", input="set -e\n" + after.replace("shop-", "orders-"), timeout=60)

    def until(self, status, text):
        """Wait until a visitor gets this status and text from the page."""

        def got():
            found = answers(self.host, "orders", "/files/")
            return found[0] == status and text in found[1]

        wait_until(got, what=f"the page says {text!r}")

    def shows_files(self):
        self.until(200, "film.mkv")

    def gone(self):
        self.until(503, GONE)


@pytest.fixture(scope="module")
def shop(fleet, project_image, tmp_path_factory):
    fleet.reset("web1", "web2")
    shop = Archive(fleet, tmp_path_factory.mktemp("mounted"), project_image)
    shop.mount()
    shop.first(shop.image("build-1"), "--no-bake")
    shop.shows_files()
    return shop


def test_the_mount_is_killed_under_load(shop):
    """The page reports the loss, no other page fails, and the mount recovers by itself, in the same containers. File
    names may be any bytes."""
    before, files = shop.host.run("docker ps -q"), shop.host.url + "/files/"
    load = Load(files, shop.host.url + "/", may_fail=True, host="orders.example", rate=20, seconds=600, post_every=0)
    with load:
        shop.shows_files()
        shop.host.run(f"pkill -KILL -x sshfs; until {SEEN} | grep '{GONE}'; do sleep 0.1; done")  # before it is back
        shop.shows_files()
    result = load.result
    assert set(result.of(files).causes) == {"http 503"}, result.summary()
    assert len(result.failures) == len(result.of(files).failures) < len(result.records) / 2, result.summary()
    assert shop.host.run("docker ps -q") == before
    film = shop.files.run("sha256sum </srv/archive/film.mkv")
    for path in ("film.mkv", "%25FF%2520%252541"):
        assert shop.host.run(f"curl -sf -H 'Host: orders.example' http://localhost/files/{path} | sha256sum") == film


def test_a_boot(shop):
    """The site does not wait for the other server. Its containers see the folder even if it is mounted later."""
    shop.host.run("systemctl disable mounted@archive")
    shop.host.power_cut()
    shop.host.power_on()
    wait_until(lambda: shop.inside("web1", "/readyz")[0] == 200, 60, "the site is up")
    shop.gone()
    shop.host.run("systemctl start mounted@archive")
    shop.shows_files()
