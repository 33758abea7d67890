"""The project's own image with the page of companions/mounted, as its README has it: files of another server, by sshfs,
in the containers of a site that visitors see while the mount dies."""

import os
import re
import shutil

import pytest

from e2e import checker
from e2e.fleet.apps import APPS
from e2e.fleet.load import Load
from e2e.orders import Orders
from e2e.scenarios import settings
from proc import ROOT, wait_until

pytestmark = pytest.mark.extra
COMPANION = ROOT / "companions/mounted"
KEY = "/etc/mounted/archive.key"
WORKERS = 2  # processes of the site


class Archive(Orders):
    """The app on one server, web1; the files are on web2."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings["media"] = "local"
        self.host, self.files = fleet.hosts["web1"], fleet.hosts["web2"]
        opts = f"-e WEB_CONCURRENCY={WORKERS} -v /srv/mounted:/mounted:rslave"
        self.hosts = {"web1": {"roles": ["web"], "opts": opts}}
        self.context = folder / "mounted"
        shutil.copytree(APPS / "mounted", self.context)
        shutil.copytree(COMPANION / "mounted", self.context / "mounted",
                        ignore=shutil.ignore_patterns("__pycache__"))

    def mount(self):
        """By the README's lines; the key goes to the other server as it says."""
        self.files.run("mkdir -p /srv/archive && cd /srv/archive && head -c 1000000 /dev/urandom >film.mkv"
                       " && cp film.mkv \"$(printf '\\377 %%41')\""
                       " && useradd --create-home files && install -d -o files -m 700 ~files/.ssh")
        before, after = blocks("On a server")
        address = self.files.address
        for name in ("mounted", "mounted@.service", "srv-mounted.mount"):
            self.host.write(f"/root/host/{name}", (COMPANION / "host" / name).read_text())
        self.host.run("sh -s", input="set -e; cd /root/host\n" + before.replace("files.example", address), timeout=120)
        given = 'restrict,command="internal-sftp -R" ' + self.host.run(f"cat {KEY}.pub")
        assert given[:40] in (COMPANION / "README.md").read_text()
        self.files.run("cat >~files/.ssh/authorized_keys && chown files ~files/.ssh/authorized_keys", input=given)
        self.host.run("sh -s", input="set -e\n" + after.replace("shop-", "orders-"), timeout=60)

    def page(self):
        """(status, text) of the list, as a visitor has it."""
        said = self.host.run("curl -s -w '\\n%{http_code}' -H 'Host: orders.example' http://localhost/files/")
        text, _, status = said.rpartition("\n")
        return int(status), text

    def there(self, seconds=30):
        wait_until(lambda: "film.mkv" in self.page()[1], seconds, "the page is back")

    def download(self, path):
        """The bytes of a file, as a visitor has them."""
        return self.host.run("curl -sf -H 'Host: orders.example' http://localhost/files/" + path + " | sha256sum")

    def gone(self, seconds=30):
        def away():
            status, text = self.page()
            assert "film.mkv" in text or "cannot be reached just now" in text or "Too many" in text, (status, text)
            return status == 503
        wait_until(away, seconds, "the page says that it is gone")

    def load(self, **options):
        """Visitors of the page, and as many of another one."""
        return Load(self.host.url + "/files/", self.host.url + "/",
                    **{"host": "orders.example", "rate": 20, "seconds": 120, "post_every": 0, **options})

    def said(self):
        """What the site's log has of the mount, but for the processes; no traceback is in it."""
        log = self.host.run("journalctl --output=cat CONTAINER_NAME=orders-web-a + CONTAINER_NAME=orders-web-b")
        assert "Traceback" not in log, log
        return log.count("the mounted files are away"), log.count("the mounted files are back")


def blocks(title):
    """The first two blocks of commands in a section of the README."""
    section = (COMPANION / "README.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found][:2]


@pytest.fixture(scope="module")
def shop(fleet, project_image, tmp_path_factory):
    fleet.reset("web1", "web2")
    if fleet.hosts["web1"].ssh("test -c /dev/fuse").returncode and not os.environ.get("CI"):
        pytest.skip("this machine has no /dev/fuse")
    shop = Archive(fleet, tmp_path_factory.mktemp("mounted"), project_image)
    shop.mount()
    shop.provision()
    shop.stage()
    outcome = shop.roll("deploy", shop.image("build-1"), "--no-bake")
    assert outcome.code == 0, outcome.stderr
    shop.there()
    return shop


def judge(shop, result):
    """No other page failed, nor waited; the page's only failure is the one that it says."""
    page, other = result.of(shop.host.url + "/files/"), result.of(shop.host.url + "/")
    assert len(other.records) > 20 and not other.failures, other.summary()
    assert other.percentile(100) < 2, other.summary()
    assert set(page.causes) <= {"http 503"}, page.summary()
    assert max(record.seconds for record in page.records) < 4, "as long as a look at the mount may take, or little more"
    return page


def test_the_mount_is_killed_under_load(shop):
    """One clear error, the site stays, and it is back by itself: with the same containers, whatever bytes a name is
    of."""
    before = shop.host.run("docker ps -q")
    away, back = shop.said()
    with shop.load() as load:
        shop.there()
        shop.host.run("pkill -KILL -x sshfs")
        shop.gone()
        shop.there()
        result = load.stop()
    assert judge(shop, result).causes, "visitors saw it"
    assert shop.host.run("docker ps -q") == before
    now = shop.said()
    assert away < now[0] <= away + WORKERS and back < now[1] <= back + WORKERS, "a line of each process"
    film = shop.files.run("sha256sum </srv/archive/film.mkv")
    assert shop.download("film.mkv") == shop.download("%25FF%2520%252541") == film


def test_the_other_server_hangs_under_load(shop):
    """The same while nothing answers and nothing ends; what waits meanwhile holds up nobody, nor does it a deploy."""
    with shop.load() as load:
        shop.there()
        with shop.files.stalled():
            shop.gone()
            with settings(shop, max_errors=1):  # half of all answers may be errors of the page of files
                outcome = shop.roll("deploy", shop.image("build-2"), "--no-bake")
            wait_until(lambda: shop.host.ssh("pidof sshfs").returncode, 20, "ssh has given up")
        shop.there()
        result = load.stop()
    assert outcome.code == 0, outcome.stderr
    assert judge(shop, result).causes
    shop.said()
    checker.check(shop)


def test_a_boot(shop):
    """The site does not wait for the other server, and its containers have the folder, whoever mounts in it later."""
    shop.host.run("systemctl disable mounted@archive")
    shop.host.power_cut()
    shop.host.power_on()
    wait_until(lambda: shop.inside("web1", "/readyz")[0] == 200, 60, "the site is up")
    shop.gone()
    shop.host.run("systemctl start mounted@archive")
    shop.there()
