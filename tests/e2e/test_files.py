"""The project's own image with its files in the database: two web hosts, no bucket, through deploys and a rollback."""

import hashlib
import random
import shlex

import pytest

from e2e import checker
from e2e.fleet.load import Load
from e2e.orders import Orders

SIZE = 3_000_000
SAVE = """
import random
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s
print(s.url(s.save("in/picture.png", ContentFile(random.Random(1).randbytes(%d)))))
""" % SIZE


class Gallery(Orders):
    """Releases are the project's own, with what its build found of migrations."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings.update({"image": self.image("build-1").rpartition(":")[0], "media": "database"})

    def image(self, tag):
        """The release is in the registry; where."""
        return self.project_image(tag)

    def on_a_host(self, name, *words):
        """What a command says in the release that is live."""
        return self.fleet.hosts[name].run(f"docker-runner {self.app} manage {shlex.join(words)}", timeout=120)


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    fleet.reset()
    shop = Gallery(fleet, tmp_path, project_image)
    shop.provision()
    shop.stage()
    return shop


def rolled(shop, *words):
    outcome = shop.roll(*words)
    assert outcome.code == 0, outcome.stderr


def digests(shop, path):
    """What each web host's nginx hands out."""
    said = {name: shop.fleet.hosts[name].run(
        f"curl -sS --unix-socket /run/{shop.app}/nginx.sock -H 'Host: {shop.app}.example'"
        f" {shlex.quote('http://localhost' + path)} | sha256sum").split()[0] for name in ("web1", "web2")}
    return {*said.values()}


def test_files_of_two_web_hosts(shop):
    """Switched on by the environment alone, with a release whose build had judged the tables; what one host saves both
    hand out, while releases come and go."""
    rolled(shop, "deploy", "build-1", "--no-bake")
    assert not shop.query("SELECT 1 FROM pg_tables WHERE tablename LIKE 'slipway_blobs%'")
    shop.image("build-2")
    done = shop.deploy("env", "set", input="STORAGE_URL=database:\n")
    assert done.returncode == 0, done.stderr
    rolled(shop, "deploy", "build-2", "--no-bake")
    path = shop.on_a_host("web1", "shell", "-v", "0", "-c", SAVE).strip()
    saved = hashlib.sha256(random.Random(1).randbytes(SIZE)).hexdigest()
    assert path == "/media/in/picture.png" and digests(shop, path) == {saved}
    urls = [host.url.rstrip("/") + path for host in shop.web]
    with Load(*urls, host=f"{shop.app}.example", rate=4, seconds=240, post_every=0) as load:
        rolled(shop, "deploy", "build-1", "--no-bake")
        rolled(shop, "rollback")
        result = load.stop()
    assert not result.failures, result.summary()
    assert checker.tags(shop) == {"build-2"} and digests(shop, path) == {saved}
    head = shop.inside("web2", path, "-sSI")[1]
    assert "Content-Type: image/png" in head and f"Content-Length: {SIZE}" in head
    assert f"{saved}" in head and "default-src 'none'; sandbox" in head
    checker.check(shop)
